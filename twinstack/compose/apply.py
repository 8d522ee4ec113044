"""Take the steps of `docker.up`, each told to whoever watches; compose takes those that are its.

What prepares comes first, one step at a time: once an engine answers, or the wheels are there,
more is known, and the rest is decided anew. A step that was taken stays: a later `up` goes on
from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import docker
from docker.errors import NotFound
from python_on_whales.exceptions import DockerException as ComposeFailed

from twinstack.compose import apply_policy, images
from twinstack.compose.bring_up import bring_up, compose_failed
from twinstack.compose.client import compose_client
from twinstack.compose.engine import connect, ensure_engine
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.observe import compose_file, gate_socket, observe_facts
from twinstack.compose.preflight import check_host
from twinstack.compose.render import (
    INSTANCE_LABEL,
    base_name,
    compose_text,
    project_name,
    secrets_directory,
    state_directory,
)
from twinstack.compose.step_proxy import gate
from twinstack.compose.steps import PREPARING, Step, building, up_steps
from twinstack.compose.taking import taking
from twinstack.errors import Missing
from twinstack.model.plan import Plan
from twinstack.model.runtimes import Role
from twinstack.reconcile import Progress, Watch
from twinstack.software.roots import Recipe, Roots, ensure_roots, recipe_for
from twinstack.software.secrets import ensure_secrets
from twinstack.software.wheels import ensure_wheelhouse

#: More than the grace that the compose file gives (stop_grace_period).
STOP_TIMEOUT_S = 10


@dataclass(frozen=True)
class Applying:
    """One `up` of a plan, under its lock."""

    plan: Plan
    engine: EnginePaths
    repository: Path
    progress: Progress
    watch: Watch

    def up(self, timeout_s: float) -> tuple[Step, ...]:
        """Do what is to be done, wait until all are healthy, and give the steps taken.

        Raises: as `preflight`, `bring_up` and `taking`.
        """
        prepared, steps = self.prepare(check=True)
        client = self._client()
        mine = [step for step in steps if not step.by_compose]
        composed = [step for step in steps if step.by_compose]
        bridges = [step for step in mine if step.name == "bridges"]
        last = [step for step in mine if (step.kind, step.act) == ("image", "remove")]
        for step in mine:
            if step not in bridges and step not in last:
                self._take(client, step)
        self._bring_up(client, composed, bridges, timeout_s)
        for step in last:
            self._take(client, step)
        return (*prepared, *steps)

    def build(self) -> tuple[Step, ...]:
        """Make images and secrets, and give the steps taken. Raises: as `taking`."""
        prepared, steps = self.prepare(check=False)
        client = self._client()
        steps = building(steps)
        for step in steps:
            self._take(client, step)
        return (*prepared, *steps)

    def steps(self, client: docker.DockerClient | None) -> tuple[Step, ...]:
        """Decide what is to be done, now."""
        facts = observe_facts(client, self.plan, self.repository, self._recipe, self.engine.prefix)
        return up_steps(self.plan, facts)

    def prepare(self, *, check: bool) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """Take the steps after which more is known; give them, and those that are left.

        `check` that the way is free, before anything and again when an engine answers.
        """
        taken: list[Step] = []
        while True:
            client = connect(self.engine)
            if check and not (taken and taken[-1].kind != "engine"):
                check_host(self.plan, client, self.engine.prefix)
            steps = self.steps(client)
            if client:
                client.close()
            step = next((one for one in steps if one.kind in PREPARING), None)
            if step is None:
                return tuple(taken), steps
            with taking(self.watch, step):
                if step.kind == "engine":
                    ensure_engine(self.engine, self.progress).close()
                elif step.kind == "root trees":
                    _ = self._roots
                else:
                    ensure_wheelhouse(self.repository, self.progress)
            taken.append(step)

    def _take(self, client: docker.DockerClient, step: Step) -> None:
        with taking(self.watch, step):
            match step.kind, step.act:
                case "base", _:
                    role = self._role(step.name)
                    declared = dict(self.plan.bases).get(role)
                    images.make_base(
                        client, self.engine.url, role, declared, lambda: self._roots, self.progress
                    )
                case "image", "build":
                    self.progress(f"image {step.name}: building ({step.reason})")
                    self._build(client, step.name)
                case "image", "remove":
                    images.remove_replaced(client, step.name)
                case "container", "remove":
                    self.progress(f"container {step.name}: removing: {step.reason}")
                    remove_container(client, step.name)
                case "network", "remove":
                    self.progress(f"network {step.name}: removing: {step.reason}")
                    remove_network(client, self.plan.instance, step.name)
                case "secrets", _:
                    ensure_secrets(secrets_directory(self.plan.instance), self.plan)
                case "file", _:
                    file = compose_file(self.plan.instance)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(compose_text(self.plan, context=None), encoding="utf-8")
                case "policy", _:
                    self._police(step)
                case other:
                    raise NotImplementedError(str(other))

    def _police(self, step: Step) -> None:
        plan, prefix = self.plan, self.engine.prefix
        # Once more with the bridges: DOCKER-USER may be there only since the networks are.
        apply_policy.enforce(plan, prefix)
        if step.name == "bridges":
            bridges = [segment.docker_bridge for segment in plan.segments]
            apply_policy.filter_bridges(bridges, prefix, on=plan.policy)
            apply_policy.forget(plan, prefix)

    def _bring_up(
        self,
        client: docker.DockerClient,
        steps: Sequence[Step],
        bridges: Sequence[Step],
        timeout_s: float,
    ) -> None:
        """Let compose do its steps, and close the bridges' doors before it starts a container."""
        if not steps:
            for step in bridges:
                self._take(client, step)
            bring_up(client, None, self.plan, timeout_s, self.progress)
            return
        instance, file = self.plan.instance, compose_file(self.plan.instance)
        state = state_directory(instance)
        names = {
            str(one["Id"]): str(one["Names"][0]).removeprefix("/")
            for one in client.api.containers(all=True)
        }
        names |= {str(one["Id"]): str(one["Name"]) for one in client.api.networks()}
        state.mkdir(parents=True, exist_ok=True)
        with gate(self.engine.url, self.watch, gate_socket(instance), names) as url:
            compose = compose_client(url, state, file, project_name(instance))
            if bridges and any(step.act != "start" for step in steps):
                try:
                    compose.compose.create(no_build=True, no_recreate=True, pull="never")
                except ComposeFailed as error:
                    raise compose_failed("create", error) from error
            for step in bridges:
                self._take(client, step)

            def run() -> None:
                compose.compose.up(
                    detach=True, recreate=False, no_build=True, pull="never", quiet=True
                )

            bring_up(client, run, self.plan, timeout_s, self.progress)

    def _build(self, client: docker.DockerClient, name: str) -> None:
        house = ensure_wheelhouse(self.repository, self.progress)
        service = name.rpartition("/")[2].rpartition(":")[0]
        context = images.contexts(self.plan, self.repository, house)[service]
        role = next(one.role for one in self.plan.replicas if one.service == service)
        declared = dict(self.plan.bases).get(role)
        base = images.find_base(client, role, declared, self._recipe.name)
        if base is None:
            raise Missing(f"image {name}", "cannot be built", "its base is gone", "run it again")
        images.make_image(client, self.plan, service, context, base)

    def _role(self, name: str) -> Role:
        declared = dict(self.plan.bases)
        roles = {one.role for one in self.plan.replicas}
        return next(role for role in roles if name in {base_name(role), declared.get(role)})

    @cached_property
    def _recipe(self) -> Recipe:
        return recipe_for({replica.service: replica.user for replica in self.plan.replicas})

    @cached_property
    def _roots(self) -> Roots:
        return ensure_roots(self._recipe, self.progress)

    def _client(self) -> docker.DockerClient:
        client = connect(self.engine)
        if client is None:
            raise Missing("Docker engine", "does not answer", "", "run: invoke docker.up")
        return client


def remove_container(client: docker.DockerClient, name: str) -> None:
    """Stop a container as it wishes to be stopped, and remove it with its anonymous volumes.

    Same as: docker stop NAME; docker rm --force --volumes NAME.
    """
    container = client.containers.get(name)
    with suppress(NotFound):
        if container.status != "paused":  # it would not hear the signal
            container.stop(timeout=STOP_TIMEOUT_S)
        container.remove(force=True, v=True)


def remove_network(client: docker.DockerClient, instance: str, name: str) -> None:
    """Remove an instance's network; a stranger's may bear the same name: the label decides.

    Same as: docker network rm NAME.
    """
    for one in client.api.networks(filters={"label": f"{INSTANCE_LABEL}={instance}"}):
        if one["Name"] == name:
            client.api.remove_network(one["Id"])

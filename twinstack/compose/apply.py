"""Do the steps of `docker.up` in the order of their list, each in view of the watch.

After a step that prepares (an engine answers, the wheels are there) more is known: the facts are
read again and the rest is decided again. A step that was done stays: a later `up` goes on from it.
Compose does a run of networks, volumes and containers at once, each request a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import docker
from docker.errors import NotFound

from twinstack.compose import apply_policy, image_steps, images, render, steps
from twinstack.compose.bring_up import bring_up
from twinstack.compose.client import ComposeProject
from twinstack.compose.engine import connect, connect_or_fail, ensure_engine
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.facts import DockerFacts
from twinstack.compose.failures import translate
from twinstack.compose.observe import compose_file, observe_facts
from twinstack.compose.preflight import check_host
from twinstack.compose.steps import DockerStep
from twinstack.errors import Missing
from twinstack.model.plan import Plan
from twinstack.reconcile import Change, Preview, Progress, Watch, diff, run_step
from twinstack.software.building import remove_tree
from twinstack.software.roots import Recipe, Roots, ensure_roots, recipe_for
from twinstack.software.secrets import ensure_secrets
from twinstack.software.wheels import ensure_wheelhouse

#: More than the grace that the compose file gives (stop_grace_period).
STOP_TIMEOUT_S = 10
Changes = Sequence[Change[DockerStep]]


@dataclass(frozen=True)
class DockerApply:
    """One `up` of a plan, under its lock."""

    plan: Plan
    engine: EnginePaths
    repository: Path
    progress: Progress
    watch: Watch

    def up(self, timeout_s: float) -> None:
        """Do what differs and wait until all replicas are healthy.

        Raises: as `preflight` and `bring_up`; StepFailed that names the step.
        """
        changes = self._prepare(check=True)
        with closing(connect_or_fail(self.engine)) as client:
            for composed, run in groupby(changes, lambda each: _is_a(each, steps.COMPOSED)):
                if composed:
                    self._compose(client, list(run), timeout_s)
                else:
                    for change in run:
                        self._do(change, client)
            if not _starts(changes):
                bring_up(client, None, self.plan, timeout_s, self.progress)

    def build(self) -> tuple[str, ...]:
        """Build images and write secrets; give the images' names. Raises: StepFailed."""
        changes = [each for each in self._prepare(check=False) if _is_a(each, steps.BUILDING)]
        with closing(connect_or_fail(self.engine)) as client:
            for change in changes:
                self._do(change, client)
        built = (change.step for change in changes)
        return tuple(step.label for step in built if isinstance(step, image_steps.ServiceImage))

    def preview(self) -> Preview:
        """Compare the plan with what is there."""
        total = len(steps.steps(self.plan, DockerFacts()))
        return Preview(total, self._changes(connect(self.engine)))

    def look(
        self, client: docker.DockerClient | None
    ) -> tuple[tuple[DockerStep, ...], DockerFacts]:
        """Give the steps, and the facts that they are compared with."""
        facts = observe_facts(client, self.plan, self.repository, self._recipe, self.engine)
        return steps.steps(self.plan, facts), facts

    def _changes(self, client: docker.DockerClient | None) -> tuple[Change[DockerStep], ...]:
        return diff(*self.look(client))

    def _prepare(self, *, check: bool) -> tuple[Change[DockerStep], ...]:
        """Do the steps after which more is known, and give the changes that are left.

        `check` that nothing is in the way, before anything and again when an engine answers.
        """
        while True:
            client = connect(self.engine)
            if check:
                check_host(self.plan, client, self.engine.prefix)
            changes = self._changes(client)
            if client:
                client.close()
            first = next((each for each in changes if _is_a(each, image_steps.PREPARING)), None)
            if first is None:
                return changes
            with run_step(self.watch, first.step.name, translate=translate):
                match first.step:
                    case image_steps.EngineStart():
                        ensure_engine(self.engine, self.progress).close()
                    case image_steps.RootTrees():
                        _ = self._roots
                    case image_steps.Wheelhouse():
                        ensure_wheelhouse(self.repository, self.progress)
            check = check and _is_a(first, image_steps.EngineStart)

    def _do(self, change: Change[DockerStep], client: docker.DockerClient) -> None:
        plan, prefix, step = self.plan, self.engine.prefix, change.step
        with run_step(self.watch, step.name, translate=translate):
            match step:
                case image_steps.BaseImage():
                    declared, url = image_steps.declared_base(plan, step.role), self.engine.url
                    images.make_base(
                        client, url, step.role, declared, lambda: self._roots, self.progress
                    )
                case image_steps.ServiceImage():
                    self.progress(f"image {step.label}: building ({change.reason})")
                    self._build(client, step)
                case steps.ReplacedContainer():
                    self.progress(f"container {step.label}: removing: {change.reason}")
                    remove_container(client, step.label)
                case steps.ReplacedNetwork():
                    self.progress(f"network {step.label}: removing: {change.reason}")
                    remove_network(client, plan.instance, step.label)
                case steps.SecretFiles():
                    ensure_secrets(render.secrets_directory(plan.instance), plan)
                case steps.ComposeFile():
                    file = compose_file(plan.instance)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(render.compose_text(plan, context=None), encoding="utf-8")
                case steps.PolicyChains():
                    apply_policy.write_chains(plan, prefix)
                case steps.FilteredBridges():
                    # Chains again: DOCKER-USER may be there only since the networks are.
                    apply_policy.write_chains(plan, prefix)
                    apply_policy.filter_bridges(plan, prefix)
                case image_steps.ReplacedImage():
                    images.remove_unless_used(client, step.label)
                case image_steps.ReplacedVersion():
                    remove_tree(render.versions_directory(plan.instance) / step.label)
                case _:
                    raise NotImplementedError(step.name)

    def _compose(self, client: docker.DockerClient, changes: Changes, timeout_s: float) -> None:
        """Let Compose do a run of steps; wait for health where it starts containers."""
        instance = self.plan.instance
        name, state = render.project_name(instance), render.state_directory(instance)
        project = ComposeProject(name, compose_file(instance), self.engine.url, state)
        if _starts(changes):
            bring_up(client, project, self.plan, timeout_s, self.progress)
        else:
            project.create()

    def _build(self, client: docker.DockerClient, step: image_steps.ServiceImage) -> None:
        house = ensure_wheelhouse(self.repository, self.progress)
        context = images.contexts(self.plan, self.repository, house)[step.label]
        declared = image_steps.declared_base(self.plan, step.role)
        base = images.find_base(client, step.role, declared, self._recipe.name)
        if base is None:
            raise Missing(step.label, "cannot be built", "its base is gone", "run it again")
        images.make_image(client, self.plan, step.service, step.label, context, base)

    @cached_property
    def _recipe(self) -> Recipe:
        return recipe_for({replica.service: replica.user for replica in self.plan.replicas})

    @cached_property
    def _roots(self) -> Roots:
        return ensure_roots(self._recipe, self.progress)


def remove_container(client: docker.DockerClient, name: str) -> None:
    """Stop a container by its own signal, and remove it with its anonymous volumes.

    Same as: docker stop NAME; docker rm --force --volumes NAME.
    """
    container = client.containers.get(name)
    with suppress(NotFound):
        if container.status != "paused":  # it would not receive the signal
            container.stop(timeout=STOP_TIMEOUT_S)
        container.remove(force=True, v=True)


def remove_network(client: docker.DockerClient, instance: str, name: str) -> None:
    """Remove an instance's network, by its label: a foreign one may have the same name.

    Same as: docker network rm NAME.
    """
    for network in client.api.networks(filters={"label": f"{render.INSTANCE_LABEL}={instance}"}):
        if network["Name"] == name:
            client.api.remove_network(network["Id"])


def _is_a(change: Change[DockerStep], kinds: type | tuple[type, ...]) -> bool:
    return isinstance(change.step, kinds)


def _starts(changes: Changes) -> bool:
    return any(_is_a(change, steps.ContainerStart) for change in changes)

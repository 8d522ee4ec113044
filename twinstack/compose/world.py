"""The Docker world: bring the plan about on an engine, look at it, take it away.

`apply` and `teardown` take the steps; the Docker SDK looks. Ownership is the label
`twinstack.instance`: what does not bear it is never touched.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
from docker.errors import NotFound

from twinstack.compose import apply_policy, cgroups, interfaces, teardown
from twinstack.compose.apply import Applying
from twinstack.compose.bring_up import observe
from twinstack.compose.engine import (
    DEFAULT,
    EnginePaths,
    check_startable,
    connect,
    require_root,
)
from twinstack.compose.failures import translated
from twinstack.compose.interfaces import running
from twinstack.compose.observe import project_containers
from twinstack.compose.render import REPLICA_LABEL, container_name
from twinstack.compose.steps import Step
from twinstack.errors import CannotTell, Missing
from twinstack.linux import procfs
from twinstack.model.plan import HOST, Plan, Replica
from twinstack.model.topology import WorldName
from twinstack.reconcile import UNWATCHED, Progress, Watch
from twinstack.software.facts import software_answer, software_question
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.world import Endpoint, Link, Process, ServiceState

REPOSITORY = Path(__file__).parents[2]


class DockerWorld:
    """One deployment of a plan on a Docker engine; keeps no memory of its own."""

    name: WorldName = "docker"

    def __init__(
        self,
        plan: Plan,
        engine: EnginePaths = DEFAULT,
        repository: Path = REPOSITORY,
        watch: Watch = UNWATCHED,
    ) -> None:
        self.plan = plan
        self.engine = engine
        self.repository = repository
        self.watch = watch

    @translated("docker.build")
    def build(self, *, progress: Progress) -> tuple[str, ...]:
        """Make images and secrets, so that `docker-compose up -d` works; name what was made.

        Raises: Locked; Missing, StepFailed when they cannot be made.
        """
        require_root("Docker world", "it keeps secrets")
        with self._changing():
            taken = self._applying(progress).build()
        return tuple(step.name for step in taken if step.kind == "image")

    @translated("docker.up")
    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        """Bring the plan about and wait until every service is healthy.

        What an earlier one left half done, it goes on from. Raises: NotOurs before anything is
        changed; Locked; StepFailed that names the step; NotHealthy with the log's tail.
        """
        require_root("Docker world", "it keeps secrets")
        with self._changing():
            if connect(self.engine) is None:
                check_startable()
            try:
                self._applying(progress).up(timeout_s)
            except KeyboardInterrupt:
                progress(
                    "docker.up: stopped half way: what is done stays; invoke docker.up goes "
                    "on from there, invoke docker.down takes it away"
                )
                raise
        return self.status()

    @translated("docker.plan", reading=True)
    def preview(self) -> tuple[Step, ...]:
        """List what `up` would do, now; () when all is as planned. Raises: Missing without root."""
        require_root("Docker world", "it keeps secrets")
        return self._applying(lambda _line: None).steps(connect(self.engine))

    def down(self, *, progress: Progress) -> tuple[str, ...]:
        """Remove containers and networks, data kept, and name them. Works after any crash."""
        return teardown.down(
            self.plan.instance, progress=progress, engine=self.engine, watch=self.watch
        )

    def clean(self, *, progress: Progress) -> tuple[str, ...]:
        """As `down`; volumes, images, secrets and an engine that we started too."""
        return teardown.clean(
            self.plan.instance, progress=progress, engine=self.engine, watch=self.watch
        )

    @translated("docker.up")
    def apply_policy(self, *, policy: bool, rate_limit: bool) -> None:
        """Rewrite the rules and the bridges' switch alone. Raises: Locked, StepFailed."""
        require_root("Docker world", "it changes iptables")
        plan = replace(
            self.plan, policy=policy, rate_limit=self.plan.rate_limit if rate_limit else None
        )
        bridges = [segment.docker_bridge for segment in plan.segments]
        with locked(InstancePaths(plan.instance), "docker"):
            apply_policy.enforce(plan, self.engine.prefix)
            apply_policy.filter_bridges(bridges, self.engine.prefix, on=policy)
            apply_policy.forget(plan, self.engine.prefix)

    @translated("docker.status", reading=True)
    def status(self) -> tuple[ServiceState, ...]:
        """Ask each replica how it does, now."""
        return observe(connect(self.engine), self.plan)

    @translated("docker.exec")
    def exec(self, replica: str, command: Sequence[str]) -> int:
        """Run a command in a replica's container, on the caller's terminal; give its exit code.

        Raises: Missing without the container or the docker client.
        """
        container = self._container(self.plan.replica(replica))
        if not shutil.which("docker"):
            raise Missing("docker", "is not installed", "the client is needed", 'run "make setup"')
        terminal = ["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
        words = ["docker", "--host", self.engine.url, "exec", "--interactive", *terminal]
        return subprocess.run([*words, str(container.name), *command], check=False).returncode

    @translated("docker.logs", reading=True)
    def logs(self, replica: str, *, lines: int) -> str:
        """Give the last lines of a replica's log."""
        container = self._container(self.plan.replica(replica))
        return str(container.logs(tail=lines).decode(errors="replace"))

    def endpoint(self, service: str, number: int = 1) -> Endpoint:
        """Give a service's own address and port on its Docker network."""
        for replica in self.plan.replicas_of(service):
            if replica.number == number:
                return Endpoint(str(replica.docker_address), replica.port)
        raise CannotTell(service, "has no endpoint", f"there is no replica {number}")

    def published(self, service: str) -> Endpoint | None:
        """Give the host port that leads to a service, as a client on this host uses it."""
        door = self.plan.published_port("docker", service)
        return Endpoint("127.0.0.1", door.port) if door else None

    @translated("docker.links", reading=True)
    def links(self) -> tuple[Link, ...]:
        """List the interfaces there are. Raises: Missing without root or engine; StepFailed."""
        require_root("docker.links", "it enters containers")
        return interfaces.observed(self.plan, observe(self._client(), self.plan), self.engine)

    @translated("docker.links", reading=True)
    def namespaces(self) -> dict[str, Path | None]:
        """Map the host and each container of ours that runs. Raises: Missing; StepFailed."""
        require_root("docker.links", "it enters containers")
        found = running(project_containers(self._client(), self.plan.instance))
        return {HOST: self.engine.network_namespace, **found}

    @translated("docker.processes", reading=True)
    def processes(self) -> tuple[Process, ...]:
        """List every process of every replica."""
        return tuple(
            Process(pid, name, " ".join(procfs.cmdline(pid)))
            for name, main in self._pids().items()
            for pid in cgroups.members(main)
        )

    @translated("docker.main_pids", reading=True)
    def main_pids(self) -> dict[str, int]:
        """Ask the engine for the main process of each container that runs."""
        return self._pids()

    @translated("docker.main_pids", reading=True)
    def cgroup_paths(self) -> dict[str, str]:
        """Give each running container's own cgroup, which is named after the container."""
        return {
            one.labels[REPLICA_LABEL]: path
            for one in project_containers(self._client(), self.plan.instance)
            if (path := cgroups.container_path(one.attrs["State"]["Pid"], str(one.id)))
        }

    @translated("docker.cpu_us", reading=True)
    def cpu_us(self) -> dict[str, int]:
        """Give each replica's CPU time so far in microseconds, from its cgroup."""
        return {name: cgroups.cpu_us(pid) for name, pid in self._pids().items()}

    @translated("docker.software", reading=True)
    def software(self) -> dict[str, str]:
        """Name what runs: versions and content digests, asked of one container a role."""
        answer: dict[str, str] = {}
        for role, replica in {one.role: one for one in reversed(self.plan.replicas)}.items():
            done = self._container(replica).exec_run(list(software_question(role)))
            answer |= software_answer(done.output.decode(errors="replace"))
        return dict(sorted(answer.items()))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock; its file goes with it, so that an `up` that is refused leaves nothing."""
        places = InstancePaths(self.plan.instance)
        with locked(places, "docker"):
            try:
                yield
            finally:
                remove_run(places, "docker")

    def _applying(self, progress: Progress) -> Applying:
        return Applying(self.plan, self.engine, self.repository, progress, self.watch)

    def _client(self) -> docker.DockerClient:
        client = connect(self.engine)
        if client is None:
            raise Missing("Docker engine", "does not answer", "", "run: invoke docker.up")
        return client

    def _container(self, replica: Replica) -> Any:
        name = container_name(self.plan, replica)
        try:
            return self._client().containers.get(name)
        except NotFound as error:
            raise Missing(name, "is not there", "no such container", "run: invoke docker.up") from (
                error
            )

    def _pids(self) -> dict[str, int]:
        return {one.name: one.pid for one in self.status() if one.pid}

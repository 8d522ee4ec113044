"""The Docker world: bring the plan about on an engine, look at it, take it away.

Compose (by python-on-whales) makes and removes; the Docker SDK looks. Ownership is the label
`twinstack.instance`: what does not bear it is never touched.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import docker
from docker.errors import NotFound

from twinstack.compose import cgroups, teardown
from twinstack.compose.bring_up import bring_up, observe
from twinstack.compose.client import compose_client
from twinstack.compose.engine import (
    DEFAULT,
    EnginePlace,
    check_startable,
    connect,
    ensure_engine,
    require_root,
)
from twinstack.compose.failures import told
from twinstack.compose.images import build_images, remove_replaced
from twinstack.compose.preflight import check_host
from twinstack.compose.render import (
    compose_text,
    container_name,
    project_name,
    secrets_directory,
    state_directory,
)
from twinstack.errors import CannotTell, Missing, SeveralFailed
from twinstack.plan import Plan, Replica
from twinstack.software.facts import software_answer, software_question
from twinstack.software.roots import Roots, ensure_roots, recipe_for
from twinstack.software.secrets import ensure_secrets
from twinstack.software.wheels import ensure_wheelhouse
from twinstack.state import Places, locked
from twinstack.topology import WorldName
from twinstack.world import Endpoint, Process, Progress, ServiceState

REPOSITORY = Path(__file__).parents[2]


class DockerWorld:
    """One deployment of a plan on a Docker engine; keeps no memory of its own."""

    name: WorldName = "docker"

    def __init__(
        self, plan: Plan, place: EnginePlace = DEFAULT, repository: Path = REPOSITORY
    ) -> None:
        self.plan = plan
        self.place = place
        self.repository = repository

    @told("docker.build")
    def build(self, *, progress: Progress) -> tuple[str, ...]:
        """Make images and secrets, so that `docker-compose up -d` works; name what was made.

        Raises: Locked; Missing, StepFailed when they cannot be made.
        """
        require_root("Docker world", "it keeps secrets")
        with locked(Places(self.plan.instance), "docker"):
            return self._build(progress)

    @told("docker.up")
    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        """Bring the plan about and wait until every service is healthy.

        Raises: NotOurs before anything is changed; Locked; NotHealthy with the log's tail.
        """
        instance = self.plan.instance
        require_root("Docker world", "it keeps secrets")
        with locked(Places(instance), "docker"):
            answering = connect(self.place)
            if answering is None:
                check_startable()
            check_host(self.plan, answering, self.place.prefix)
            made = self._build(progress)
            client = self._client()
            file = state_directory(instance) / "docker-compose.yml"
            file.write_text(compose_text(self.plan, context=None), encoding="utf-8")
            bring_up(client, self._compose(file), self.plan, timeout_s, progress)
            if made:
                remove_replaced(client, instance)
            failures: list[Exception] = []
            networks = {segment.docker_network for segment in self.plan.segments}
            teardown.remove_networks(client, instance, failures, keep=networks)
            if failures:
                raise SeveralFailed("docker.up", failures)
        return self.status()

    def down(self, *, progress: Progress) -> tuple[str, ...]:
        """Remove containers and networks, data kept, and name them. Works after any crash."""
        return teardown.down(self.plan.instance, progress=progress, place=self.place)

    def clean(self, *, progress: Progress) -> tuple[str, ...]:
        """As `down`; volumes, images, secrets and an engine that we started too."""
        return teardown.clean(self.plan.instance, progress=progress, place=self.place)

    @told("docker.status", reading=True)
    def status(self) -> tuple[ServiceState, ...]:
        """Ask each replica how it does, now."""
        return observe(connect(self.place), self.plan)

    @told("docker.exec")
    def exec(self, replica: str, command: Sequence[str]) -> int:
        """Run a command in a replica's container, on the caller's terminal; give its exit code.

        Raises: Missing without the container or the docker client.
        """
        container = self._container(self.plan.replica(replica))
        if not shutil.which("docker"):
            raise Missing("docker", "is not installed", "the client is needed", 'run "make setup"')
        terminal = ["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
        words = ["docker", "--host", self.place.url, "exec", "--interactive", *terminal]
        return subprocess.run([*words, str(container.name), *command], check=False).returncode

    @told("docker.logs", reading=True)
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
        door = self.plan.host_port("docker", service)
        return Endpoint("127.0.0.1", door.port) if door else None

    @told("docker.processes", reading=True)
    def processes(self) -> tuple[Process, ...]:
        """List every process of every replica."""
        return tuple(
            Process(pid, name, _command(pid))
            for name, main in self._pids().items()
            for pid in cgroups.members(main)
        )

    @told("docker.cpu_us", reading=True)
    def cpu_us(self) -> dict[str, int]:
        """Give each replica's CPU time so far in microseconds, from its cgroup."""
        return {name: cgroups.cpu_us(pid) for name, pid in self._pids().items()}

    @told("docker.software", reading=True)
    def software(self) -> dict[str, str]:
        """Name what runs: versions and content digests, asked of one container a role."""
        answer: dict[str, str] = {}
        for role, replica in {one.role: one for one in reversed(self.plan.replicas)}.items():
            done = self._container(replica).exec_run(list(software_question(role)))
            answer |= software_answer(done.output.decode(errors="replace"))
        return dict(sorted(answer.items()))

    def _build(self, progress: Progress) -> tuple[str, ...]:
        made = build_images(
            ensure_engine(self.place, progress), self.place.url, self.plan, self.repository,
            lambda: ensure_wheelhouse(self.repository, progress), self._roots(progress), progress,
        )  # fmt: skip
        ensure_secrets(secrets_directory(self.plan.instance), self.plan)
        return made

    def _roots(self, progress: Progress) -> Callable[[], Roots]:
        accounts = {replica.service: replica.user for replica in self.plan.replicas}
        return cache(lambda: ensure_roots(recipe_for(accounts), progress))

    def _client(self) -> docker.DockerClient:
        client = connect(self.place)
        if client is None:
            raise Missing("Docker engine", "does not answer", "", "run: invoke docker.up")
        return client

    def _compose(self, file: Path) -> Any:
        state = state_directory(self.plan.instance)
        return compose_client(self.place.url, state, file, project_name(self.plan.instance))

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


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return " ".join(word.decode(errors="replace") for word in words)

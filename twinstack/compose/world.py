"""The Docker world: the World protocol (`twinstack.world`) on a Docker engine.

`apply` and `teardown` change it; the Docker SDK reads. What does not carry the label
`twinstack.instance` is never touched.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from docker.errors import NotFound

from twinstack.compose import apply_policy, cgroups, interfaces, observe, teardown
from twinstack.compose.apply import STOP_TIMEOUT_S, DockerApply
from twinstack.compose.bring_up import bring_up
from twinstack.compose.container_log import ContainerLog
from twinstack.compose.engine import at_socket, connect, connect_or_fail, revive
from twinstack.compose.engine_paths import DEFAULT, EnginePaths
from twinstack.compose.engine_record import read_record
from twinstack.compose.facts import ContainerFacts, DockerFacts
from twinstack.compose.failures import translated
from twinstack.compose.render import (
    INSTANCE_LABEL,
    REPLICA_LABEL,
    container_name,
    project_name,
    secrets_directory,
    versions_directory,
)
from twinstack.compose.steps import DockerStep
from twinstack.errors import CannotTell, Missing, NotOurs
from twinstack.faults import record
from twinstack.linux import procfs
from twinstack.model.plan import HOST, Plan, Replica
from twinstack.model.topology import WorldName
from twinstack.reconcile import (
    UNDECLARED,
    UNWATCHED,
    Change,
    Preview,
    Progress,
    Watch,
)
from twinstack.software.facts import released_versions, software_answer, software_question
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.world import Endpoint, Link, Process, ServiceState, require_root

REPOSITORY = Path(__file__).parents[2]


@dataclass(eq=False)
class DockerWorld:
    """One deployment of a plan on a Docker engine; keeps no memory of its own."""

    plan: Plan
    engine: EnginePaths = DEFAULT
    repository: Path = REPOSITORY
    watch: Watch = UNWATCHED
    name: WorldName = field(default="docker", init=False)

    @property
    def secrets(self) -> Path:
        return secrets_directory(self.plan.instance)

    @property
    def host_namespace(self) -> Path | None:
        return self.engine.network_namespace

    @property
    def versions_directory(self) -> Path:
        return versions_directory(self.plan.instance)

    @translated("docker.build")
    def build(self, *, progress: Progress) -> tuple[str, ...]:
        """Build images and write secrets, so that `docker-compose up -d` works; name the images.

        Raises: Locked; Missing, StepFailed when they cannot be built.
        """
        require_root("docker.build")
        with self._changing():
            return self._apply(progress).build()

    @translated("docker.up")
    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        """Go on from where an earlier `up` stopped.

        Raises: NotOurs before anything is changed; Locked; StepFailed; NotHealthy.
        """
        require_root("docker.up")
        with self._changing():
            for fault in record.repair(self.plan.instance, "docker"):
                progress(f"{fault}: taken away: chaos was killed")
            try:
                self._apply(progress).up(timeout_s)
            except KeyboardInterrupt:
                progress(
                    "docker.up: stopped half way: what is done stays; invoke docker.up goes "
                    "on from there, invoke docker.down takes it away"
                )
                raise
        return self.status()

    @translated("docker.plan", reading=True)
    def preview(self) -> Preview:
        """Raises: Missing without root; CannotTell."""
        require_root("docker.plan")
        preview = self._apply(lambda _line: None).preview()
        if not (left := record.left(self.plan.instance, "docker")):
            return preview
        faults = teardown.OwnedObject("faults", ", ".join(left))
        return replace(preview, changes=(Change(faults, UNDECLARED), *preview.changes))

    @translated("docker.plan", reading=True)
    def look(self) -> tuple[tuple[DockerStep, ...], DockerFacts]:
        """Give the plan's steps, and the facts that they are compared with. Raises: Missing."""
        with closing(connect_or_fail(self.engine)) as client:
            return self._apply(lambda _line: None).look(client)

    @translated("docker.restart")
    def restart(self, replica: str, *, timeout_s: float, progress: Progress) -> None:
        """Restart a replica's container and wait until it is healthy.

        Same as: docker restart. Raises: Locked; Missing; NotHealthy.
        """
        require_root("docker.restart")
        chosen = self.plan.replica(replica)
        with self._changing():
            before = {replica: self.main_pids().get(replica)}
            self._container(chosen).restart(timeout=STOP_TIMEOUT_S)
            with closing(connect_or_fail(self.engine)) as client:
                bring_up(client, None, self.plan, timeout_s, progress, before)

    def down(self, *, progress: Progress) -> tuple[str, ...]:
        instance = self.plan.instance
        return teardown.down(instance, progress=progress, engine=self.engine, watch=self.watch)

    def clean(self, *, progress: Progress) -> tuple[str, ...]:
        instance = self.plan.instance
        return teardown.clean(instance, progress=progress, engine=self.engine, watch=self.watch)

    @translated("docker.up")
    def apply_policy(self, *, policy: bool, rate_limit: bool) -> None:
        """Rewrite the rules and the bridges' switch alone. Raises: Locked, StepFailed."""
        require_root("docker.up")
        plan = replace(
            self.plan, policy=policy, rate_limit=self.plan.rate_limit if rate_limit else None
        )
        with locked(InstancePaths(plan.instance), "docker"):
            apply_policy.write_chains(plan, self.engine.prefix)
            apply_policy.filter_bridges(plan, self.engine.prefix)

    @translated("docker.status", reading=True)
    def status(self) -> tuple[ServiceState, ...]:
        return observe.states(connect(self.engine), self.plan)

    @translated("docker.exec")
    def exec(self, replica: str, command: Sequence[str]) -> int:
        """Same as: docker exec. Raises: Missing without the container or the docker client."""
        container = self._container(self.plan.replica(replica))
        if not shutil.which("docker"):
            raise Missing("docker", "is not installed", "the client is needed", 'run "make setup"')
        terminal = ["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
        words = ["docker", "--host", self.engine.url, "exec", "--interactive", *terminal]
        return subprocess.run([*words, str(container.name), *command], check=False).returncode

    @translated("docker.logs", reading=True)
    def log_names(self) -> tuple[str, ...]:
        """Name the replicas whose container is there, running or not."""
        with closing(connect_or_fail(self.engine)) as client:
            ours = {"label": f"{INSTANCE_LABEL}={self.plan.instance}"}
            labels = [each["Labels"] for each in client.api.containers(all=True, filters=ours)]
        return tuple(each[REPLICA_LABEL] for each in labels if REPLICA_LABEL in each)

    def log_reader(self, replica: str) -> ContainerLog:
        """Give what asks the engine for a container's log."""
        return ContainerLog(self.engine, f"{project_name(self.plan.instance)}-{replica}")

    @translated("docker.stop")
    def stop(self, replica: str) -> None:
        """Same as: docker stop."""
        self._container(self.plan.replica(replica)).stop(timeout=STOP_TIMEOUT_S)

    @translated("docker.start")
    def start(self, replica: str) -> None:
        """Same as: docker start."""
        self._container(self.plan.replica(replica)).start()

    @translated("docker.chaos", reading=True)
    def engine_pid(self) -> int | None:
        """Give the dockerd that we started, if it runs no other container than this world's."""
        engine = read_record(self.engine)
        client = at_socket(self.engine)
        if engine is None or not engine.alive or client is None:
            return None
        with closing(client):
            owners = {each.labels.get(INSTANCE_LABEL) for each in client.containers.list()}
        return engine.pid if owners == {self.plan.instance} else None

    @translated("docker.chaos")
    def revive(self) -> None:
        """Start our dockerd, and the containers that it stopped as it came up."""
        revive(self.engine, lambda _line: None)
        with closing(connect_or_fail(self.engine)) as client:
            for container in observe.containers(client, self.plan.instance):
                if not container.runs:
                    client.containers.get(container.name).start()

    def endpoint(self, service: str, number: int = 1) -> Endpoint:
        for replica in self.plan.replicas_of(service):
            if replica.number == number:
                return Endpoint(str(replica.docker_address), replica.port)
        raise CannotTell(service, "has no endpoint", f"there is no replica {number}")

    def published(self, service: str) -> Endpoint | None:
        published = self.plan.published_port("docker", service)
        return Endpoint("127.0.0.1", published.port) if published else None

    @translated("docker.links", reading=True)
    def links(self) -> tuple[Link, ...]:
        require_root("docker.links")
        states = observe.states(connect_or_fail(self.engine), self.plan)
        links = interfaces.observe_links(self.plan, observe.namespaces(states, self.engine))
        if not links:
            raise self.absence()
        return links

    def absence(self) -> Missing:
        """Give the error of a world that is not up."""
        return Missing("docker world", "is not up", remedy='run "invoke docker.up"')

    @translated("docker.links", reading=True)
    def namespaces(self) -> dict[str, Path | None]:
        require_root("docker.links")
        namespaces: dict[str, Path | None] = {HOST: self.engine.network_namespace}
        for container in self._containers():
            namespaces[container.replica] = Path(f"/proc/{container.pid}/ns/net")
        return namespaces

    @translated("docker.processes", reading=True)
    def processes(self) -> tuple[Process, ...]:
        return tuple(
            Process(pid, replica, " ".join(procfs.cmdline(pid)))
            for replica, main_pid in self.main_pids().items()
            for pid in cgroups.members(main_pid)
        )

    @translated("docker.main_pids", reading=True)
    def main_pids(self) -> dict[str, int]:
        return {state.name: state.pid for state in self.status() if state.pid}

    @translated("docker.main_pids", reading=True)
    def cgroup_paths(self) -> dict[str, str]:
        """Give each running container's own cgroup, which is named after the container."""
        return {
            container.replica: path
            for container in self._containers()
            if (path := cgroups.container_path(container.pid, container.identity))
        }

    def supervising(self) -> tuple[int, ...]:
        """None: the engine is not this world's alone."""
        return ()

    @translated("docker.cpu_us", reading=True)
    def cpu_us(self) -> dict[str, int]:
        return {name: cgroups.cpu_us(pid) for name, pid in self.main_pids().items()}

    @translated("docker.software", reading=True)
    def software(self) -> dict[str, str]:
        """Ask one container of each role."""
        versions: dict[str, str] = {}
        first = {replica.role: replica for replica in reversed(self.plan.replicas)}
        for role, replica in first.items():
            done = self._container(replica).exec_run(list(software_question(role)))
            versions |= software_answer(done.output.decode(errors="replace"))
        return dict(sorted(versions.items())) | released_versions(self.plan.replicas)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock; its file goes with it, so that an `up` that is refused leaves nothing."""
        paths = InstancePaths(self.plan.instance)
        with locked(paths, "docker"):
            try:
                yield
            finally:
                remove_run(paths, "docker")

    def _apply(self, progress: Progress) -> DockerApply:
        return DockerApply(self.plan, self.engine, self.repository, progress, self.watch)

    def _containers(self) -> tuple[ContainerFacts, ...]:
        """List our containers that run, those that are declared no longer too."""
        present = observe.containers(connect_or_fail(self.engine), self.plan.instance)
        return tuple(container for container in present if container.pid)

    def _container(self, replica: Replica) -> Any:
        """Find a replica's container. Raises: Missing; NotOurs for a stranger by its name."""
        name = container_name(self.plan, replica)
        try:
            container = connect_or_fail(self.engine).containers.get(name)
        except NotFound as error:
            remedy = 'run "invoke docker.up"'
            raise Missing(name, "is not there", "no such container", remedy) from error
        if container.labels.get(INSTANCE_LABEL) != self.plan.instance:
            cause, remedy = "it lacks our label", "use the docker command"
            raise NotOurs(f"container {name}", "is not ours", cause, remedy)
        return container

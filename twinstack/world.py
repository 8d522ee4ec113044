"""The protocols that worlds answer, so that everything above needs to know only one.

A world is made from a `Plan` and acts on what it observes: it keeps no memory of its own. All five
answer `World`; the two with every replica on this host answer `LocalWorld`, which `observe` and
`bench` need.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from twinstack.errors import Missing
from twinstack.reconcile import Preview, Progress

if TYPE_CHECKING:  # they bring pydantic, which not every task needs
    from twinstack.model.plan import Plan
    from twinstack.model.topology import WorldName

State = Literal["healthy", "unhealthy", "starting", "stopped", "absent"]


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One row of a world's status: a replica, where it is, and its health."""

    name: str
    service: str
    where: str
    address: str
    port: int
    state: State
    detail: str = ""
    pid: int | None = None  # its main process as the host sees it
    restarts: int = 0  # since it was brought up
    version: str = ""  # that was released to it; "": this checkout's


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a world as the host sees it."""

    pid: int
    replica: str
    command: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a client on the host reaches a service."""

    address: str
    port: int

    def url(self, path: str = "/") -> str:
        return f"http://{self.address}:{self.port}{path}"


@dataclass(frozen=True, slots=True)
class Link:
    """One interface of a world as it is now, in the namespace that holds it."""

    name: str  # in that namespace
    kind: Literal["bridge", "host end", "inside"]
    namespace: str  # a path for `child.inside`; "": the caller's own
    segment: str  # "": the plan has none for it
    replica: str  # "": a bridge


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line of a replica's log, as its world keeps it."""

    text: str
    received: float | None = None  # when an engine took it down, in seconds since 1970


#: What a line is to a search. One that goes on belongs to the line before it.
LogVerdict = Literal["shown", "hidden", "goes on", "too old"]


@dataclass(frozen=True, slots=True)
class LogSearch:
    """Which end of a log is asked for."""

    judge: Callable[[LogRecord], LogVerdict]  # of one line, whatever is around it
    last: int | None = None  # so many of the lines shown; None: all of them
    since: float | None = None  # seconds since 1970
    filtered: bool = False  # some lines may be hidden
    follow: bool = False  # what is only half a line yet is left to `follow`


class LogReader(Protocol):
    """One replica's log: read once, then followed from there."""

    def read(self, search: LogSearch) -> Iterator[LogRecord]:
        """Give what is there, oldest first, from the first line that the search needs.

        Lines that it hides may be among them. Raises: Missing, CannotTell.
        """

    def follow(self) -> Iterator[LogRecord]:
        """Give what was written since the last look; waits for nothing."""


class Declared(Protocol):
    """What names replicas: a plan, or its outline."""

    @property
    def replicas(self) -> Sequence[NamedReplica]:
        """List them, in their order."""

    def replica(self, name: str) -> NamedReplica:
        """Give one by its name. Raises: WrongUse."""


class NamedReplica(Protocol):
    """A replica by its names."""

    @property
    def name(self) -> str:
        """Its own."""

    @property
    def service(self) -> str:
        """Its service's."""


class Logged(Protocol):
    """A world that keeps its replicas' logs."""

    @property
    def plan(self) -> Declared:
        """What is deployed."""

    def log_names(self) -> tuple[str, ...]:
        """Name the replicas that have a log, those that are declared no longer too."""

    def log_reader(self, replica: str) -> LogReader:
        """Give what reads a replica's log. Raises: Missing."""


def require_root(task: str) -> None:
    """Raise Missing unless we are root."""
    if os.geteuid() != 0:
        raise Missing(task, "cannot be done", "this needs root", "run it with sudo")


class World(Protocol):
    """One deployment of a plan, wherever it runs."""

    @property
    def plan(self) -> Plan:
        """What is deployed."""

    def preview(self) -> Preview:
        """Give what `up` would do now; changes and builds nothing. Raises: Missing, StepFailed."""

    def up(self, *, timeout_s: float, progress: Progress) -> tuple[ServiceState, ...]:
        """Bring the plan about and wait until every service is healthy.

        Raises: NotOurs before anything is changed; NotHealthy with the log's tail.
        """

    def down(self, *, progress: Progress) -> tuple[str, ...]:
        """Remove what is ours, and name what was removed. Works after any crash.

        Data stays on this host; simulated and remote hosts go with theirs.
        """

    def status(self) -> tuple[ServiceState, ...]:
        """Probe each replica, now."""


class LocalWorld(World, Logged, Protocol):
    """A world with every replica on this host: it can be observed and measured from here."""

    name: WorldName

    @property
    def plan(self) -> Plan:
        """What is deployed."""

    @property
    def secrets(self) -> Path:
        """The directory of its secrets, on this host."""

    @property
    def host_namespace(self) -> Path | None:
        """The network namespace of its bridges and rules; None: the caller's own."""

    @property
    def versions_directory(self) -> Path:
        """The directory of the versions of services that are not this checkout's."""

    def clean(self, *, progress: Progress) -> tuple[str, ...]:
        """As `down`, data too."""

    def apply_policy(self, *, policy: bool, rate_limit: bool) -> None:
        """Rewrite only what enforces the flows: no process, no record.

        `policy`: enforce the flows; `rate_limit`: limit new connections. A benchmark lifts both for
        a while; if it is killed meanwhile, `status` names the difference.
        """

    def restart(self, replica: str, *, timeout_s: float, progress: Progress) -> None:
        """Restart a replica's main process and wait until it is healthy.

        Raises: Missing without root, engine or container; Locked; NotHealthy.
        """

    def exec(self, replica: str, command: Sequence[str]) -> int:
        """Run a command in a replica's network, on the caller's terminal; give its exit code."""

    def stop(self, replica: str) -> None:
        """Stop a replica in an orderly way; it stays stopped until `start` or `up`.

        Takes no lock. Raises: Missing, StepFailed.
        """

    def start(self, replica: str) -> None:
        """Start a replica that was stopped; waits for nothing. Raises: Missing, StepFailed."""

    def engine_pid(self) -> int | None:
        """Give the process that starts this world's replicas again, unless others need it too."""

    def revive(self) -> None:
        """Start the engine again after its end, and what does not run then; takes no lock.

        Raises: Missing, StepFailed.
        """

    def endpoint(self, service: str, number: int = 1) -> Endpoint:
        """Give a service's own address and port in this world (not the published one)."""

    def published(self, service: str) -> Endpoint | None:
        """Give the host port that leads to a service, as a client on this host uses it."""

    def processes(self) -> tuple[Process, ...]:
        """List every process of every replica."""

    def supervising(self) -> tuple[int, ...]:
        """List the processes that run this world alone, and belong to no replica."""

    def main_pids(self) -> dict[str, int]:
        """Give the main process of each running replica, as the host sees it; probes nothing."""

    def cgroup_paths(self) -> dict[str, str]:
        """Give each running replica's own cgroup: its path below every controller's mount.

        A replica is left out until its cgroup is known. Never read off a process alone: one that
        was just started is still in the root cgroup.
        """

    def cpu_us(self) -> dict[str, int]:
        """Give each replica's CPU time so far in microseconds, from its cgroup."""

    def software(self) -> dict[str, str]:
        """Name what runs: versions and content digests, the same keys in both worlds."""

    def links(self) -> tuple[Link, ...]:
        """List the interfaces there are: bridges, host ends, inside ends, in the plan's order.

        Raises: Missing when there are none, and without root or engine; StepFailed.
        """

    def absence(self) -> Missing:
        """Give the error of a world that is not up; it names the instance that has its names."""

    def namespaces(self) -> dict[str, Path | None]:
        """Map `host` and each present replica to its network namespace; None is the caller's own.

        Replicas that are declared no longer are included. Raises: Missing without root or engine;
        StepFailed.
        """


def namespaces_of(world: LocalWorld) -> dict[str, Path | None]:
    """Give the namespaces of a world that is up. Raises: its absence; as `namespaces`."""
    namespaces = world.namespaces()
    if set(namespaces) <= {"host"}:
        raise world.absence()
    return namespaces

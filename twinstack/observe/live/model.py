"""What is read of a world at one moment (`Reading`), and what is shown of it (`WorldSample`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from twinstack.model.topology import WorldName
from twinstack.observe.live.answers import DependencyCounts, GatewayCounts, Lease

#: degraded: it serves, but lacks something that it needs. absent: it has no process.
Health = Literal["up", "degraded", "down", "absent"]
Value = TypeVar("Value")

#: The service where requests enter the stack.
EDGE = "nginx-lb"
GATEWAY = "api-gateway"
REGISTRY = "service-registry"
#: Runtimes whose services answer GET /metrics, inside their namespace alone.
HAVE_METRICS = frozenset({"asgi", "wsgi"})
#: Balance is averaged over this many seconds: a quiet stack gets few requests in one.
BALANCE_S = 10.0


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A replica's health by its own answer."""

    health: Health
    detail: str = ""
    took_ms: float | None = None  # from the question to the whole answer


@dataclass(frozen=True, slots=True)
class Usage:
    """What a replica has used so far, and what it may use; None: no limit."""

    at_s: float
    cpu_us: int
    throttled_us: int  # time that the CPU quota kept it waiting
    memory_bytes: int  # without file cache that the kernel may drop
    received_bytes: int  # by all its interfaces but the loopback
    sent_bytes: int
    cpu_limit: float | None = None  # cores
    memory_limit: int | None = None  # bytes
    started_at: float | None = None  # its main process, in seconds of the epoch
    periods: int | None = None  # of the CPU quota in which it ran
    throttled_periods: int | None = None
    pids: int | None = None  # processes and threads
    pids_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Dated(Generic[Value]):
    """A value that a process reported. A process that restarts counts from zero."""

    at_s: float  # of the monotonic clock
    pid: int
    value: Value


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a world; every mapping is by replica."""

    at_s: float  # of the monotonic clock
    pids: Mapping[str, int] = field(default_factory=dict)  # main processes
    restarts: Mapping[str, int] = field(default_factory=dict)  # since the watcher found the world
    probes: Mapping[str, ProbeResult] = field(default_factory=dict)
    usage: Mapping[str, Usage] = field(default_factory=dict)
    requests: Mapping[str, Dated[int]] = field(default_factory=dict)  # nginx's count, ours excluded
    gateways: Mapping[str, Dated[GatewayCounts]] = field(default_factory=dict)
    dependencies: Mapping[str, Dated[tuple[DependencyCounts, ...]]] = field(default_factory=dict)
    registry: tuple[Lease, ...] | None = None  # None: no answer
    conntrack: tuple[int, int] | None = None  # entries and their limit; None: not tracked


@dataclass(frozen=True, slots=True)
class Totals:
    """What a replica has used so far. A counter falls only when what it counts was created anew."""

    started_at: float | None  # its main process, in seconds of the epoch
    cpu_s: float
    periods: int | None  # of the CPU quota in which it ran
    throttled_periods: int | None
    throttled_s: float
    received_bytes: int
    sent_bytes: int
    pids: int | None
    pids_limit: int | None


@dataclass(frozen=True, slots=True)
class ReplicaSample:
    """One replica, as shown."""

    name: str
    service: str
    state: Health
    detail: str
    pid: int | None
    took_ms: float | None
    cpus: float | None  # cores
    cpu_limit: float | None
    throttled: float | None  # part of the time that the CPU quota kept it waiting
    memory_bytes: int | None
    memory_limit: int | None
    in_bytes_per_s: float | None
    out_bytes_per_s: float | None
    restarts: int = 0  # that the watcher saw
    totals: Totals | None = None  # None: not read yet
    metrics_port: int | None = None  # of its own GET /metrics, inside its namespace; None: none


@dataclass(frozen=True, slots=True)
class EdgeSample:
    """Requests from one replica to another; None: not counted, or the counter was reset."""

    source: str
    destination: str
    rate: float | None = None  # requests per second, failed ones included
    mean_ms: float | None = None  # as the source sees it; the gateway times answers alone
    failures_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """An instance's part of its service's requests over BALANCE_S."""

    service: str
    instance: str
    part: float
    rate: float  # requests per second


@dataclass(frozen=True, slots=True)
class WorldSample:
    """One world at one moment, as shown; its fields are the keys of `invoke health --json`."""

    world: WorldName
    at: float  # seconds of the epoch
    up: bool
    shape: str = ""
    key: str = ""  # identifies the topology that is drawn
    trouble: str = ""  # why nothing is known
    rate: float | None = None  # requests per second at the edge, the watcher's excluded
    total: int | None = None  # the same since nginx started
    mean_ms: float | None = None  # the gateway's
    failed_per_s: float | None = None  # the gateway's answers 5xx
    cpus: float | None = None
    memory_bytes: int | None = None
    conntrack: int | None = None
    conntrack_limit: int | None = None
    replicas: tuple[ReplicaSample, ...] = ()
    edges: tuple[EdgeSample, ...] = ()
    balance: tuple[Share, ...] = ()
    registry: tuple[Mapping[str, Any], ...] | None = None
    ejected: tuple[str, ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class WorldSamples:
    """The worlds that were asked, at one moment."""

    worlds: tuple[WorldSample, ...]

"""What is read of a world at one moment: counters and answers, from which samples are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

#: degraded: it serves, and something that it needs is away. absent: its world has no such process.
Health = Literal["up", "degraded", "down", "absent"]
What = TypeVar("What")


@dataclass(frozen=True, slots=True)
class Said:
    """How a replica does by its own answer. Units: milliseconds until it came."""

    health: Health
    detail: str = ""
    took_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a replica has used so far. Units: microseconds of CPU, bytes.

    `throttled_us` is how long its CPU limit kept it waiting; `memory_bytes` what it holds now,
    file cache that the kernel may drop left out; `received` and `sent` of all its interfaces. The
    limits are those that hold (cores, bytes), None for none.
    """

    at_s: float
    cpu_us: int
    throttled_us: int
    memory_bytes: int
    received_bytes: int
    sent_bytes: int
    cpu_limit: float | None = None
    memory_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """A number of requests, and when it was told: nginx's, our own left out."""

    at_s: float
    pid: int
    requests: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What was asked of one since counting began: answers, failures, and the time that it took.

    Units: seconds. `name` is how the one who counts calls whom it asked.
    """

    name: str
    answers: int
    failures: int
    busy_s: float


@dataclass(frozen=True, slots=True)
class Upstream:
    """An instance that a gateway asks. `shunned`: it is passed over for a moment."""

    service: str
    tally: Tally
    shunned: bool


@dataclass(frozen=True, slots=True)
class GatewayCounts:
    """What a gateway answered, an answer 5xx being a failure, and what it asked of instances."""

    total: Tally
    upstreams: tuple[Upstream, ...]


@dataclass(frozen=True, slots=True)
class Lease:
    """An instance in the registry, and how long it stays there without a sign of life."""

    service: str
    instance: str
    address: str
    port: int
    expires_in_s: float


@dataclass(frozen=True, slots=True)
class Told(Generic[What]):
    """What a replica told, and when."""

    at_s: float
    pid: int
    what: What


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at everything. Units: seconds of the monotonic clock.

    `pids` are main processes; `asked` is what a replica has asked of others; `registry` is None
    when it did not answer; `conntrack` is the table's size and its limit, None where the kernel
    keeps none.
    """

    at_s: float
    pids: Mapping[str, int] = field(default_factory=dict)
    said: Mapping[str, Said] = field(default_factory=dict)
    usage: Mapping[str, Usage] = field(default_factory=dict)
    edges: Mapping[str, Count] = field(default_factory=dict)
    gateways: Mapping[str, Told[GatewayCounts]] = field(default_factory=dict)
    asked: Mapping[str, Told[tuple[Tally, ...]]] = field(default_factory=dict)
    registry: Told[tuple[Lease, ...]] | None = None
    conntrack: tuple[int, int] | None = None

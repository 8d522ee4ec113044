"""What is told of a world at one moment, as a document that is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twinstack.model.topology import WorldName
from twinstack.observe.live.readings import Health

#: The door: where requests come in.
EDGE = "nginx-lb"
GATEWAY = "api-gateway"
REGISTRY = "service-registry"
#: Balance is told over this many seconds: one second's requests are few on a quiet stack.
BALANCE_S = 10.0


@dataclass(frozen=True, slots=True)
class ReplicaSample:
    """How one replica does. Units: milliseconds, cores, bytes, bytes per second.

    `throttled` is the part of the time that its CPU limit kept it waiting.
    """

    name: str
    service: str
    state: Health
    detail: str
    pid: int | None
    took_ms: float | None
    cpus: float | None
    cpu_limit: float | None
    throttled: float | None
    memory_bytes: int | None
    memory_limit: int | None
    in_bytes_per_s: float | None
    out_bytes_per_s: float | None


@dataclass(frozen=True, slots=True)
class EdgeSample:
    """What goes from one to another. Units: requests per second, milliseconds.

    `rate` is of all requests, answered or in vain; `failures_per_s` of those in vain. `mean_ms` is
    as the source sees it: the gateway takes the time of what instances answer, all others of
    everything. None is "not counted", or that a count went back.
    """

    source: str
    destination: str
    rate: float | None
    mean_ms: float | None
    failures_per_s: float | None


@dataclass(frozen=True, slots=True)
class Share:
    """A replica's part of its service's requests over the last seconds."""

    service: str
    instance: str
    part: float
    rate: float


@dataclass(frozen=True, slots=True)
class WorldSample:
    """One world at one moment. `at` in seconds of the epoch; `key` names what was planned.

    `rate` counts the requests at the door, ours left out; `total` the same since nginx began.
    `mean_ms` and `failed_per_s` (answers 5xx) are the gateway's.
    """

    world: WorldName
    at: float
    up: bool
    shape: str = ""
    key: str = ""
    trouble: str = ""
    rate: float | None = None
    total: int | None = None
    mean_ms: float | None = None
    failed_per_s: float | None = None
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

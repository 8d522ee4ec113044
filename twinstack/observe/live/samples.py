"""From readings to a sample: rates, shares and states as a document that is shown; pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twinstack.observe.live.readings import Health, Reading, Said, Told
from twinstack.plan import Plan, Replica
from twinstack.topology import WorldName

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

    None is "not counted". `mean_ms` is as the source sees it.
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


def key_of(plan: Plan) -> str:
    """Give a short name of what a picture of the plan would show."""
    replicas = [(one.name, one.service, one.runtime) for one in plan.replicas]
    shown = (plan.shape, replicas, plan.flows)
    return f"{zlib.crc32(repr(shown).encode()):08x}"


def sample(
    world: WorldName, plan: Plan, at: float, readings: Sequence[Reading]
) -> WorldSample:  # fmt: skip
    """Make a sample of the latest readings, oldest first: two or more, or rates are None."""
    now = readings[-1]
    before = readings[-2] if len(readings) > 1 else None
    replicas = tuple(_replica(one, before, now) for one in plan.replicas)
    edges = tuple(_edges(plan, before, now))
    doors = [one for one in edges if one.source == "world"]
    inner = [one for one in edges if one.destination in _names(plan, GATEWAY)]
    counts = [now.edges[name].requests for name in _names(plan, EDGE) if name in now.edges]
    return WorldSample(
        world=world,
        at=at,
        up=True,
        shape=plan.shape,
        key=key_of(plan),
        rate=_sum(one.rate for one in doors),
        total=sum(counts) if counts else None,
        mean_ms=_mean(inner),
        failed_per_s=_sum(one.failures_per_s for one in inner),
        cpus=_sum(one.cpus for one in replicas),
        memory_bytes=sum(one.memory_bytes for one in replicas if one.memory_bytes is not None),
        conntrack=now.conntrack[0] if now.conntrack else None,
        conntrack_limit=now.conntrack[1] if now.conntrack else None,
        replicas=replicas,
        edges=edges,
        balance=tuple(_balance(_window(readings), now)),
        registry=registered(now.registry),
        ejected=tuple(sorted(ejected(now))),
    )


def _names(plan: Plan, service: str) -> list[str]:
    return [one.name for one in plan.replicas_of(service)]


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _mean(edges: Iterable[EdgeSample]) -> float | None:
    known = [(one.rate, one.mean_ms) for one in edges if one.rate and one.mean_ms is not None]
    total = sum(rate for rate, _ in known)
    return sum(rate * mean for rate, mean in known) / total if total else None


def _replica(replica: Replica, before: Reading | None, now: Reading) -> ReplicaSample:
    said = now.said.get(replica.name, Said("absent"))
    used = now.usage.get(replica.name)
    was = before.usage.get(replica.name) if before else None
    same = before is not None and before.pids.get(replica.name) == now.pids.get(replica.name)
    elapsed_s = used.at_s - was.at_s if used and was and same else 0.0

    def per_s(name: str) -> float | None:
        if elapsed_s <= 0:
            return None
        return float(max(getattr(used, name) - getattr(was, name), 0)) / elapsed_s

    cpu, throttled = per_s("cpu_us"), per_s("throttled_us")
    return ReplicaSample(
        name=replica.name,
        service=replica.service,
        state=said.health,
        detail=said.detail,
        pid=now.pids.get(replica.name),
        took_ms=said.took_ms,
        cpus=None if cpu is None else cpu / 1e6,
        cpu_limit=used.cpu_limit if used else None,
        throttled=None if throttled is None else throttled / 1e6,
        memory_bytes=used.memory_bytes if used else None,
        memory_limit=used.memory_limit if used else None,
        in_bytes_per_s=per_s("received_bytes"),
        out_bytes_per_s=per_s("sent_bytes"),
    )


def _edges(plan: Plan, before: Reading | None, now: Reading) -> Iterator[EdgeSample]:
    """Give what is counted: at the door by nginx, behind it by the gateway."""
    for name in _names(plan, EDGE):
        count, was = now.edges.get(name), before.edges.get(name) if before else None
        rate = None
        if count and was and count.pid == was.pid and count.at_s > was.at_s:
            rate = max(count.requests - was.requests, 0) / (count.at_s - was.at_s)
        yield EdgeSample("world", name, rate, None, None)
    for name in _names(plan, GATEWAY):
        told, earlier = now.gateways.get(name), before.gateways.get(name) if before else None
        pair = _pair(earlier, told)
        if pair is None:
            yield EdgeSample(EDGE, name, None, None, None)
            continue
        old, new, elapsed_s = pair
        answers = sum(new["statuses"].values()) - sum(old["statuses"].values())
        failed = new["statuses"]["5xx"] - old["statuses"]["5xx"]
        yield _edge(EDGE, name, answers, failed, new["busy_s"] - old["busy_s"], elapsed_s)
        known = {one["instance"]: one for one in old["upstreams"]}
        for one in new["upstreams"]:
            first = known.get(one["instance"], {"answers": 0, "failures": 0, "busy_s": 0.0})
            if one["answers"] < first["answers"]:  # made anew meanwhile
                first = {"answers": 0, "failures": 0, "busy_s": 0.0}
            yield _edge(
                name, one["instance"], one["answers"] - first["answers"],
                one["failures"] - first["failures"], one["busy_s"] - first["busy_s"], elapsed_s,
            )  # fmt: skip


def _pair(
    earlier: Told | None, later: Told | None
) -> tuple[Mapping[str, Any], Mapping[str, Any], float] | None:
    if earlier is None or later is None or earlier.pid != later.pid:
        return None
    if later.at_s <= earlier.at_s:
        return None
    return earlier.document, later.document, later.at_s - earlier.at_s


def _edge(
    source: str, destination: str, answers: int, failed: int, busy_s: float, elapsed_s: float
) -> EdgeSample:
    mean_ms = busy_s * 1000 / answers if answers > 0 else None
    return EdgeSample(source, destination, answers / elapsed_s, mean_ms, failed / elapsed_s)


def _window(readings: Sequence[Reading]) -> Reading:
    """Give the oldest reading that is not older than what balance is told over."""
    newest = readings[-1].at_s
    return next(one for one in readings if newest - one.at_s <= BALANCE_S)


def _balance(before: Reading, now: Reading) -> Iterator[Share]:
    found: dict[tuple[str, str], tuple[int, float]] = {}
    for name, told in now.gateways.items():
        pair = _pair(before.gateways.get(name), told)
        if pair is None:
            continue
        old, new, elapsed_s = pair
        known = {one["instance"]: one["answers"] for one in old["upstreams"]}
        for one in new["upstreams"]:
            place = (one["service"], one["instance"])
            answers, rate = found.get(place, (0, 0.0))
            more = max(one["answers"] - known.get(one["instance"], 0), 0)
            found[place] = answers + more, rate + more / elapsed_s
    totals: dict[str, int] = {}
    for (service, _), (answers, _) in found.items():
        totals[service] = totals.get(service, 0) + answers
    for (service, instance), (answers, rate) in sorted(found.items()):
        part = answers / totals[service] if totals[service] else 0.0
        yield Share(service, instance, part, rate)


def registered(told: Told | None) -> tuple[Mapping[str, Any], ...] | None:
    """List who is registered, with what is left of each lease in seconds; None: nobody told."""
    if told is None:
        return None
    services = told.document.get("services", {})
    return tuple(
        {"service": service, **one} for service, several in sorted(services.items())
        for one in several
    )  # fmt: skip


def ejected(reading: Reading) -> frozenset[str]:
    """Name the instances that a gateway passes over."""
    return frozenset(
        one["instance"]
        for told in reading.gateways.values()
        for one in told.document["upstreams"]
        if one["shunned"]
    )

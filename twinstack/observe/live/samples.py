"""From readings to the sample that is shown: rates, shares and states. Pure."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from twinstack.model.plan import Plan, Replica
from twinstack.model.topology import WorldName
from twinstack.observe.live.answers import GatewayCounts, Lease, RequestCounts
from twinstack.observe.live.model import (
    BALANCE_S,
    EDGE,
    GATEWAY,
    HAVE_METRICS,
    REGISTRY,
    Dated,
    EdgeSample,
    ProbeResult,
    Reading,
    ReplicaSample,
    Share,
    Totals,
    Usage,
    Value,
    WorldSample,
)

#: Usage is compared over no less: a CPU quota holds per 100 ms, and could seem overdrawn.
_SHORTEST_S = 0.5


def key_of(plan: Plan) -> str:
    """Identify what a drawing of the plan shows."""
    replicas = [(replica.name, replica.service, replica.runtime) for replica in plan.replicas]
    return f"{zlib.crc32(repr((plan.shape, replicas, plan.flows)).encode()):08x}"


def sample(world: WorldName, plan: Plan, at: float, readings: Sequence[Reading]) -> WorldSample:
    """Make a sample of readings, oldest first; with fewer than two, rates are None."""
    now = readings[-1]
    replicas = tuple(_replica(replica, readings) for replica in plan.replicas)
    edges = tuple(_edges(plan, readings))
    entering = [edge for edge in edges if edge.source == "world"]
    inner = [edge for edge in edges if edge.destination in _names(plan, GATEWAY)]
    totals = [now.requests[name].value for name in _names(plan, EDGE) if name in now.requests]
    memory = [one.memory_bytes for one in replicas if one.memory_bytes is not None]
    entries, limit = now.conntrack or (None, None)
    return WorldSample(
        world=world,
        at=at,
        up=True,
        shape=plan.shape,
        key=key_of(plan),
        rate=sum_known(edge.rate for edge in entering),
        total=sum(totals) if totals else None,
        mean_ms=mean_ms(inner),
        failed_per_s=sum_known(edge.failures_per_s for edge in inner),
        cpus=sum_known(replica.cpus for replica in replicas),
        memory_bytes=sum(memory) if memory else None,
        conntrack=entries,
        conntrack_limit=limit,
        replicas=replicas,
        edges=edges,
        balance=tuple(_balance(readings)),
        registry=None if now.registry is None else tuple(map(Lease.model_dump, now.registry)),
        ejected=tuple(sorted(ejected(now))),
    )


def ejected(reading: Reading) -> frozenset[str]:
    """Name the instances that a gateway passes over."""
    counts = (dated.value for dated in reading.gateways.values())
    return frozenset(one.instance for gateway in counts for one in gateway.upstreams if one.shunned)


def _names(plan: Plan, service: str) -> list[str]:
    return [replica.name for replica in plan.replicas_of(service)]


def sum_known(values: Iterable[float | None]) -> float | None:
    """Add up what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def mean_ms(edges: Iterable[EdgeSample]) -> float | None:
    """Give the mean time of the requests on these edges."""
    timed = [(edge.rate, edge.mean_ms) for edge in edges if edge.rate and edge.mean_ms is not None]
    total = sum(rate for rate, _ in timed)
    return sum(rate * took_ms for rate, took_ms in timed) / total if total else None


def _replica(replica: Replica, readings: Sequence[Reading]) -> ReplicaSample:
    name, now = replica.name, readings[-1]
    old = [reading for reading in readings if now.at_s - reading.at_s >= _SHORTEST_S]
    before = old[-1] if old else None
    probe = now.probes.get(name, ProbeResult("absent"))
    usage, earlier = now.usage.get(name), before.usage.get(name) if before else None
    same = before is not None and before.pids.get(name) == now.pids.get(name)
    elapsed_s = usage.at_s - earlier.at_s if usage and earlier and same else 0.0

    def per_s(counter: str) -> float | None:
        if elapsed_s <= 0:
            return None
        return float(max(getattr(usage, counter) - getattr(earlier, counter), 0)) / elapsed_s

    cpu, throttled = per_s("cpu_us"), per_s("throttled_us")
    return ReplicaSample(
        name=name,
        service=replica.service,
        state=probe.health,
        detail=probe.detail,
        pid=now.pids.get(name),
        took_ms=probe.took_ms,
        cpus=None if cpu is None else cpu / 1e6,
        cpu_limit=usage.cpu_limit if usage else None,
        throttled=None if throttled is None else throttled / 1e6,
        memory_bytes=usage.memory_bytes if usage else None,
        memory_limit=usage.memory_limit if usage else None,
        in_bytes_per_s=per_s("received_bytes"),
        out_bytes_per_s=per_s("sent_bytes"),
        restarts=now.restarts.get(name, 0),
        totals=_totals(usage) if usage else None,
        metrics_port=replica.port if replica.runtime in HAVE_METRICS else None,
    )


def _totals(usage: Usage) -> Totals:
    return Totals(
        started_at=usage.started_at,
        cpu_s=usage.cpu_us / 1e6,
        periods=usage.periods,
        throttled_periods=usage.throttled_periods,
        throttled_s=usage.throttled_us / 1e6,
        received_bytes=usage.received_bytes,
        sent_bytes=usage.sent_bytes,
        pids=usage.pids,
        pids_limit=usage.pids_limit,
    )


def _edges(plan: Plan, readings: Sequence[Reading]) -> Iterator[EdgeSample]:
    """Give what is counted: at the edge by nginx, behind it by each client."""
    for name in _names(plan, EDGE):
        pair = _last_two([reading.requests.get(name) for reading in readings])
        rate = None
        if pair and pair[0].value <= pair[1].value:
            rate = (pair[1].value - pair[0].value) / (pair[1].at_s - pair[0].at_s)
        yield EdgeSample("world", name, rate)
    for name in _names(plan, GATEWAY):
        counts = _last_two([reading.gateways.get(name) for reading in readings])
        if counts is None:
            yield EdgeSample(EDGE, name)
        else:
            yield from _gateway_edges(name, *counts)
    for replica in plan.replicas:
        yield from _dependency_edges(plan, readings, replica.name)


def _gateway_edges(
    name: str, before: Dated[GatewayCounts], now: Dated[GatewayCounts]
) -> Iterator[EdgeSample]:
    elapsed_s = now.at_s - before.at_s
    total = now.value.total.since(before.value.total)
    yield _edge(EDGE, name, total, elapsed_s)
    earlier = {one.instance: one for one in before.value.upstreams}
    for upstream in now.value.upstreams:
        more = None
        if total is not None:  # else another worker answers, which counts for itself
            more = upstream.since(earlier.get(upstream.instance)) or upstream  # or it was reset
        yield _edge(name, upstream.instance, more, elapsed_s, failures_timed=False)


def _dependency_edges(plan: Plan, readings: Sequence[Reading], name: str) -> Iterator[EdgeSample]:
    """Give what a replica asked of stores, the registry and instances, as it counts itself."""
    pair = _last_two([reading.dependencies.get(name) for reading in readings])
    if pair is None:
        return
    before, now = pair
    earlier = {one.name: one for one in before.value}
    for dependency in now.value:
        more = dependency.since(earlier.get(dependency.name))
        if destination := _replica_called(plan, dependency.name):
            yield _edge(name, destination, more, now.at_s - before.at_s)


def _replica_called(plan: Plan, name: str) -> str | None:
    """Find the replica meant: a store by its runtime, the registry, or an instance by its name."""
    for replica in plan.replicas:
        names = {replica.name, replica.runtime, "registry" if replica.service == REGISTRY else ""}
        if name in names:
            return replica.name
    return None


def _last_two(history: Sequence[Dated[Value] | None]) -> tuple[Dated[Value], Dated[Value]] | None:
    """Give the last two values that one process reported.

    A late answer is in a later reading: until then the one before it stands.
    """
    now = history[-1]
    for before in reversed(history[:-1]):
        if now is None or before is None or before.pid != now.pid:
            break
        if before.at_s < now.at_s:
            return before, now
    return None


def _edge(
    source: str,
    destination: str,
    more: RequestCounts | None,
    elapsed_s: float,
    *,
    failures_timed: bool = True,
) -> EdgeSample:
    if more is None:
        return EdgeSample(source, destination)
    requests = more.answers + more.failures
    timed = requests if failures_timed else more.answers
    mean_ms = more.busy_s * 1000 / timed if timed else None
    return EdgeSample(source, destination, requests / elapsed_s, mean_ms, more.failures / elapsed_s)


def _balance(readings: Sequence[Reading]) -> Iterator[Share]:
    now = readings[-1]
    before = next(reading for reading in readings if now.at_s - reading.at_s <= BALANCE_S)
    answers: Counter[tuple[str, str]] = Counter()
    rates: defaultdict[tuple[str, str], float] = defaultdict(float)
    totals: Counter[str] = Counter()
    for name in now.gateways:
        pair = _last_two([before.gateways.get(name), now.gateways[name]])
        if pair is None or pair[1].value.total.since(pair[0].value.total) is None:
            continue
        known = {one.instance: one.answers for one in pair[0].value.upstreams}
        for upstream in pair[1].value.upstreams:
            key = upstream.service, upstream.instance
            more = max(upstream.answers - known.get(upstream.instance, 0), 0)
            answers[key] += more
            totals[upstream.service] += more
            rates[key] += more / (pair[1].at_s - pair[0].at_s)
    for (service, instance), rate in sorted(rates.items()):
        part = answers[service, instance] / totals[service] if totals[service] else 0.0
        yield Share(service, instance, part, rate)

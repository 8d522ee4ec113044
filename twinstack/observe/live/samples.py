"""From readings to a sample: rates and states, the latest against those before; pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

from twinstack.model.plan import Plan, Replica
from twinstack.model.topology import WorldName
from twinstack.observe.live import rates
from twinstack.observe.live.documents import EDGE, GATEWAY, EdgeSample, ReplicaSample, WorldSample
from twinstack.observe.live.readings import Reading, Said


def key_of(plan: Plan) -> str:
    """Give a short name of what a picture of the plan would show."""
    replicas = [(one.name, one.service, one.runtime) for one in plan.replicas]
    shown = (plan.shape, replicas, plan.flows)
    return f"{zlib.crc32(repr(shown).encode()):08x}"


def sample(world: WorldName, plan: Plan, at: float, readings: Sequence[Reading]) -> WorldSample:
    """Make a sample of the latest readings, oldest first: two or more, or rates are None."""
    now = readings[-1]
    before = readings[-2] if len(readings) > 1 else None
    replicas = tuple(_replica(one, before, now) for one in plan.replicas)
    edges = tuple(rates.edges(plan, readings))
    doors = [one for one in edges if one.source == "world"]
    inner = [one for one in edges if one.destination in rates.names(plan, GATEWAY)]
    counts = [now.edges[name].requests for name in rates.names(plan, EDGE) if name in now.edges]
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
        balance=tuple(rates.balance(readings)),
        registry=rates.registered(now.registry),
        ejected=tuple(sorted(rates.ejected(now))),
    )


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

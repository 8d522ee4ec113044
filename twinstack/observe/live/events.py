"""What happened between two readings: deaths, restarts, ejections, as sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twinstack.model.plan import Plan
from twinstack.observe.live.model import ProbeResult, Reading
from twinstack.observe.live.samples import ejected


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a replica, or to a world (`replica` is "")."""

    at: float  # seconds of the epoch
    kind: str  # death, restart, healthy, ejected, left, world down, and their opposites
    replica: str
    text: str
    good: bool  # a recovery


def events(plan: Plan, at: float, before: Reading, now: Reading) -> Iterator[Event]:
    """List what changed, in the plan's order."""
    for replica in plan.replicas:
        yield from _of_replica(at, replica.name, before, now)
    if before.gateways and now.gateways:
        out_before, out_now = ejected(before), ejected(now)
        for name in sorted(out_now - out_before):
            yield Event(at, "ejected", name, "the gateway passes it over", False)
        for name in sorted(out_before - out_now):
            yield Event(at, "readmitted", name, "the gateway uses it again", True)
    if before.registry is not None and now.registry is not None:
        known = {lease.instance for lease in before.registry}
        registered = {lease.instance for lease in now.registry}
        for name in sorted(known - registered):
            yield Event(at, "left", name, "is no longer in the registry", False)
        for name in sorted(registered - known):
            yield Event(at, "joined", name, "is in the registry", True)


def world_event(at: float, up: bool) -> Event:
    """Report that a world came up, or went down."""
    kind, text = ("world up", "is up") if up else ("world down", "is no longer up")
    return Event(at, kind, "", f"the world {text}", up)


def _of_replica(at: float, name: str, before: Reading, now: Reading) -> Iterator[Event]:
    old, new = before.pids.get(name), now.pids.get(name)
    if new is None and old is not None:
        yield Event(at, "death", name, f"its process {old} ended", False)
    elif old is None and new is not None:
        yield Event(at, "restart", name, f"runs as process {new}", True)
    elif old != new:
        yield Event(at, "restart", name, f"process {old} ended, {new} took its place", True)
    absent = ProbeResult("absent")
    probe = now.probes.get(name, absent)
    if probe.health == before.probes.get(name, absent).health:
        return
    if probe.health == "up":
        yield Event(at, "healthy", name, "is up", True)
    elif probe.health == "degraded":
        yield Event(at, "unhealthy", name, f"degraded: {probe.detail}", False)
    elif new is not None:  # else its death says enough
        yield Event(at, "unhealthy", name, probe.detail or "does not answer", False)

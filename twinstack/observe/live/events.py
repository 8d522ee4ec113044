"""What happened between two readings: deaths, returns, ejections, as sentences; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from twinstack.model.plan import Plan
from twinstack.observe.live.rates import ejected
from twinstack.observe.live.readings import Reading, Said

Kind = Literal[
    "death", "restart", "ill", "well", "ejected", "readmitted", "left", "joined", "gone", "came"
]
_ILL = frozenset({"down", "absent"})


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a replica, or to a world as a whole. `good`: it is a recovery."""

    at: float
    kind: Kind
    replica: str
    text: str
    good: bool


def events(plan: Plan, at: float, before: Reading, now: Reading) -> Iterator[Event]:
    """Tell what changed, in the plan's order. `at` in seconds of the epoch."""
    for replica in plan.replicas:
        name = replica.name
        old, new = before.pids.get(name), now.pids.get(name)
        was, now_is = before.said.get(name, Said("absent")), now.said.get(name, Said("absent"))
        if old is not None and new is None:
            yield Event(at, "death", name, f"its process {old} ended", False)
        elif old is None and new is not None:
            yield Event(at, "restart", name, f"runs as process {new}", True)
        elif old != new:
            yield Event(at, "restart", name, f"process {old} ended, {new} took its place", True)
        if now_is.health != was.health:
            if now_is.health in _ILL and new is not None:
                yield Event(at, "ill", name, now_is.detail or "does not answer", False)
            elif now_is.health == "degraded":
                yield Event(at, "ill", name, f"degraded: {now_is.detail}", False)
            elif now_is.health == "up":
                yield Event(at, "well", name, "is up", True)
    yield from _passed_over(at, before, now)
    yield from _registered(at, before, now)


def turned(at: float, up: bool) -> Event:
    """Tell that a world came, or that it went."""
    if up:
        return Event(at, "came", "", "the world is up", True)
    return Event(at, "gone", "", "the world is not up any more", False)


def _passed_over(at: float, before: Reading, now: Reading) -> Iterator[Event]:
    if not (before.gateways and now.gateways):
        return
    was, is_now = ejected(before), ejected(now)
    for name in sorted(is_now - was):
        yield Event(at, "ejected", name, "the gateway passes it over", False)
    for name in sorted(was - is_now):
        yield Event(at, "readmitted", name, "the gateway asks it again", True)


def _registered(at: float, before: Reading, now: Reading) -> Iterator[Event]:
    if before.registry is None or now.registry is None:
        return
    was, is_now = ({one.instance for one in told.what} for told in (before.registry, now.registry))
    for name in sorted(was - is_now):
        yield Event(at, "left", name, "is in the registry no longer", False)
    for name in sorted(is_now - was):
        yield Event(at, "joined", name, "is in the registry", True)

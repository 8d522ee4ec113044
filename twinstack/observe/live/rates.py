"""What nginx and the gateway counted, as rates and shares; who is registered; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol, TypeVar

from twinstack.model.plan import Plan
from twinstack.observe.live.documents import BALANCE_S, EDGE, GATEWAY, REGISTRY, EdgeSample, Share
from twinstack.observe.live.readings import GatewayCounts, Lease, Reading, Tally, Told


class _Dated(Protocol):
    @property
    def at_s(self) -> float: ...

    @property
    def pid(self) -> int: ...


Dated = TypeVar("Dated", bound=_Dated)


def names(plan: Plan, service: str) -> list[str]:
    """Name a service's replicas."""
    return [one.name for one in plan.replicas_of(service)]


def edges(plan: Plan, readings: Sequence[Reading]) -> Iterator[EdgeSample]:
    """Give what is counted: at the door by nginx, behind it by whoever asks."""
    for name in names(plan, EDGE):
        counts = _lately([one.edges.get(name) for one in readings])
        rate = None
        if counts is not None and counts[0].requests <= counts[1].requests:
            was, now = counts
            rate = (now.requests - was.requests) / (now.at_s - was.at_s)
        yield EdgeSample("world", name, rate, None, None)
    for name in names(plan, GATEWAY):
        told = _lately([one.gateways.get(name) for one in readings])
        if told is None:
            yield EdgeSample(EDGE, name, None, None, None)
        else:
            yield from _gateway(name, *told)
    for replica in plan.replicas:
        yield from _asked(plan, readings, replica.name)


def _gateway(name: str, was: Told[GatewayCounts], now: Told[GatewayCounts]) -> Iterator[EdgeSample]:
    old, new, elapsed_s = was.what, now.what, now.at_s - was.at_s
    total = _more(old.total, new.total)
    yield _edge(EDGE, name, total, elapsed_s)
    known = {one.tally.name: one.tally for one in old.upstreams}
    for one in new.upstreams:
        more = None
        if total is not None:  # else another worker answers, who counts for itself
            more = _more(known.get(one.tally.name), one.tally) or one.tally  # made anew meanwhile
        yield _edge(name, one.tally.name, more, elapsed_s, all_timed=False)


def _asked(plan: Plan, readings: Sequence[Reading], name: str) -> Iterator[EdgeSample]:
    """Give what a replica asked of stores, the registry and instances, as it counts itself."""
    told = _lately([one.asked.get(name) for one in readings])
    if told is None:
        return
    was, now = told
    known = {one.name: one for one in was.what}
    for one in now.what:
        more = _more(known.get(one.name), one)
        for destination in _called(plan, one.name):
            yield _edge(name, destination, more, now.at_s - was.at_s)


def _more(was: Tally | None, now: Tally) -> Tally | None:
    """Give what was counted since; None where a count went back: it is another's, or made anew."""
    if was is None:
        return now
    more = Tally(
        now.name, now.answers - was.answers, now.failures - was.failures, now.busy_s - was.busy_s
    )
    return None if min(more.answers, more.failures, more.busy_s) < 0 else more


def _called(plan: Plan, name: str) -> list[str]:
    """Find who is meant: a store by its kind, the registry, or an instance by its own name."""
    if name == "registry":
        return names(plan, REGISTRY)[:1]
    return [one.name for one in plan.replicas if name in {one.name, one.runtime}][:1]


def _lately(found: Sequence[Dated | None]) -> tuple[Dated, Dated] | None:
    """Give what a process told before, and what it told last, of what is in each reading.

    An answer that was late is in a later reading: until then the one before it stands.
    """
    now = found[-1]
    for was in reversed(found[:-1]):
        if now is None or was is None or was.pid != now.pid:
            break
        if was.at_s < now.at_s:
            return was, now
    return None


def _edge(
    source: str, destination: str, more: Tally | None, elapsed_s: float, *, all_timed: bool = True
) -> EdgeSample:
    """Make a sample of what was counted. `all_timed`: what was in vain has its time in it too."""
    if more is None:
        return EdgeSample(source, destination, None, None, None)
    asked = more.answers + more.failures
    timed = asked if all_timed else more.answers
    mean_ms = more.busy_s * 1000 / timed if timed else None
    return EdgeSample(source, destination, asked / elapsed_s, mean_ms, more.failures / elapsed_s)


def balance(readings: Sequence[Reading]) -> Iterator[Share]:
    """Give each instance's part of its service's requests over the last seconds."""
    before, now = _window(readings), readings[-1]
    found: dict[tuple[str, str], tuple[int, float]] = {}
    for name, told in now.gateways.items():
        was = before.gateways.get(name)
        if was is None or was.pid != told.pid or told.at_s <= was.at_s:
            continue
        if _more(was.what.total, told.what.total) is None:
            continue
        known = {one.tally.name: one.tally.answers for one in was.what.upstreams}
        for one in told.what.upstreams:
            place = (one.service, one.tally.name)
            answers, rate = found.get(place, (0, 0.0))
            more = max(one.tally.answers - known.get(one.tally.name, 0), 0)
            found[place] = answers + more, rate + more / (told.at_s - was.at_s)
    totals: dict[str, int] = {}
    for (service, _), (answers, _) in found.items():
        totals[service] = totals.get(service, 0) + answers
    for (service, instance), (answers, rate) in sorted(found.items()):
        part = answers / totals[service] if totals[service] else 0.0
        yield Share(service, instance, part, rate)


def _window(readings: Sequence[Reading]) -> Reading:
    """Give the oldest reading that is not older than what balance is told over."""
    newest = readings[-1].at_s
    return next(one for one in readings if newest - one.at_s <= BALANCE_S)


def registered(told: Told[tuple[Lease, ...]] | None) -> tuple[Mapping[str, Any], ...] | None:
    """List who is registered, with what is left of each lease in seconds; None: nobody told."""
    return None if told is None else tuple(asdict(one) for one in told.what)


def ejected(reading: Reading) -> frozenset[str]:
    """Name the instances that a gateway passes over."""
    return frozenset(
        one.tally.name
        for told in reading.gateways.values()
        for one in told.what.upstreams
        if one.shunned
    )

"""What nginx and the gateway counted, as rates and shares; who is registered; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from twinstack.observe.live.documents import BALANCE_S, EDGE, GATEWAY, REGISTRY, EdgeSample, Share
from twinstack.observe.live.readings import Count, Reading, Told
from twinstack.plan import Plan

_NOTHING: Mapping[str, Any] = {"answers": 0, "failures": 0, "busy_s": 0.0}


def names(plan: Plan, service: str) -> list[str]:
    """Name a service's replicas."""
    return [one.name for one in plan.replicas_of(service)]


def edges(plan: Plan, readings: Sequence[Reading]) -> Iterator[EdgeSample]:
    """Give what is counted: at the door by nginx, behind it by whoever asks."""
    for name in names(plan, EDGE):
        count, was = _lately(readings, "edges", name)
        rate = None
        if isinstance(count, Count) and isinstance(was, Count):
            rate = max(count.requests - was.requests, 0) / (count.at_s - was.at_s)
        yield EdgeSample("world", name, rate, None, None)
    for name in names(plan, GATEWAY):
        told, earlier = _lately(readings, "gateways", name)
        if not isinstance(told, Told) or not isinstance(earlier, Told):
            yield EdgeSample(EDGE, name, None, None, None)
            continue
        old, new, elapsed_s = earlier.document, told.document, told.at_s - earlier.at_s
        answers = sum(new["statuses"].values()) - sum(old["statuses"].values())
        failed = new["statuses"]["5xx"] - old["statuses"]["5xx"]
        yield _edge(EDGE, name, answers, failed, new["busy_s"] - old["busy_s"], elapsed_s)
        known = {one["instance"]: one for one in old["upstreams"]}
        for one in new["upstreams"]:
            first = known.get(one["instance"], _NOTHING)
            if one["answers"] < first["answers"]:  # made anew meanwhile
                first = _NOTHING
            yield _edge(
                name, one["instance"], one["answers"] - first["answers"],
                one["failures"] - first["failures"], one["busy_s"] - first["busy_s"], elapsed_s,
            )  # fmt: skip
    for replica in plan.replicas:
        yield from _asked(plan, readings, replica.name)


def _asked(plan: Plan, readings: Sequence[Reading], name: str) -> Iterator[EdgeSample]:
    """Give what a replica asked of stores, the registry and instances, as it counts itself."""
    now, was = _lately(readings, "asked", name)
    if not isinstance(now, Told) or not isinstance(was, Told):
        return
    known = {one["name"]: one for one in was.document["asked"]}
    for one in now.document["asked"]:
        first = known.get(one["name"], _NOTHING)
        failed = one["failures"] - first["failures"]
        asked = one["answers"] - first["answers"] + failed
        for destination in _called(plan, one["name"]):
            yield _edge(name, destination, asked, failed, one["busy_s"] - first["busy_s"],
                        now.at_s - was.at_s)  # fmt: skip


def _called(plan: Plan, name: str) -> list[str]:
    """Find who is meant: a store by its kind, the registry, or an instance by its own name."""
    if name == "registry":
        return names(plan, REGISTRY)[:1]
    return [one.name for one in plan.replicas if name in {one.name, one.runtime}][:1]


def _lately(
    readings: Sequence[Reading], kind: Literal["edges", "gateways", "asked"], name: str
) -> tuple[Count | Told | None, Count | Told | None]:
    """Give what a process told last, and what it told before that.

    An answer that was late is in a later reading: until then the one before it stands.
    """
    found: list[Count | Told | None] = [getattr(one, kind).get(name) for one in readings]
    now = found[-1]
    for was in reversed(found[:-1]):
        if now is None or was is None or was.pid != now.pid:
            break
        if was.at_s < now.at_s:
            return now, was
    return now, None


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


def balance(readings: Sequence[Reading]) -> Iterator[Share]:
    """Give each instance's part of its service's requests over the last seconds."""
    before, now = _window(readings), readings[-1]
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


def _window(readings: Sequence[Reading]) -> Reading:
    """Give the oldest reading that is not older than what balance is told over."""
    newest = readings[-1].at_s
    return next(one for one in readings if newest - one.at_s <= BALANCE_S)


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

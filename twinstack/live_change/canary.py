"""Is a canary worse than the replicas beside it? By the benchmark's own paired intervals.

Canaries and the others serve their turns of the same requests in the same windows, so each window
pairs both: the CPU time of a request by their cgroups, its time and its failures by the gateways.
Only a whole interval decides; a canary that its gateways ejected is hardly asked any more, so that
decides as well. Two starts of one version differ by a percent or so, which no window
of these two starts shows: the limit for CPU and time is well above that.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from twinstack.errors import CannotTell
from twinstack.live_change.listing import counted_by
from twinstack.live_change.release import Judge, Opinion
from twinstack.reconcile import Progress
from twinstack.statistics import estimate
from twinstack.statistics.estimate import Holds
from twinstack.world import LocalWorld

WINDOW_S = 2.0
SECONDS = 60
#: A window with fewer requests on a side says little of what one costs.
LEAST_REQUESTS = 20
#: A version that needs so much more is worse; of time, which each neighbour disturbs, twice that.
MOST_CPU = 0.10
MOST_TIME = 0.20
MOST_FAILED = 0.001
#: Three questions are asked: together they give a false answer 5 times in 100 at most.
LEVEL = 1 - (1 - estimate.LEVEL) / 3
_FIRST_S = 4.0  # a process that has just started fills its pools


@dataclass(frozen=True, slots=True)
class Counters:
    """What some replicas have done so far."""

    requests: int
    failed: int  # without an answer, or with a status of 500 or more
    busy_us: float  # as their gateways waited
    cpu_us: float
    ejected: bool = False  # one of them is, at this moment

    def since(self, before: Counters) -> Counters:
        """Give the difference."""
        return Counters(
            self.requests - before.requests,
            self.failed - before.failed,
            self.busy_us - before.busy_us,
            self.cpu_us - before.cpu_us,
            self.ejected,
        )


@dataclass(frozen=True, slots=True)
class Side:
    """One window of one side."""

    block: int
    did: Counters
    deployment: int = 1

    @property
    def cpu_us(self) -> float:
        return self.did.cpu_us / self.did.requests

    @property
    def took_us(self) -> float:
        return self.did.busy_us / self.did.requests

    @property
    def failed(self) -> float:
        return self.did.failed / self.did.requests


@dataclass(frozen=True, slots=True)
class CanaryFinding:
    """What a comparison found."""

    opinion: Opinion
    lines: tuple[str, ...]


def judge(progress: Progress, seconds: float = SECONDS) -> Judge:
    """Give a judge that watches both sides for some seconds, and says what it found."""

    def compare_now(world: LocalWorld, canaries: frozenset[str], others: frozenset[str]) -> Opinion:
        time.sleep(_FIRST_S)
        found = compare(*watch(world, canaries, others, round(seconds / WINDOW_S)))
        for line in found.lines:
            progress(line)
        return found.opinion

    return compare_now


def watch(
    world: LocalWorld, canaries: Collection[str], others: Collection[str], windows: int
) -> tuple[list[Side], list[Side]]:
    """Count both sides window by window; one in which a counter began again is left out."""
    sides: tuple[list[Side], list[Side]] = ([], [])
    before = [_read(world, names) for names in (canaries, others)]
    for block in range(windows):
        time.sleep(WINDOW_S)
        after = [_read(world, names) for names in (canaries, others)]
        for side, was, now in zip(sides, before, after, strict=True):
            did = now.since(was) if was and now else None
            if did and min(did.requests, did.failed, did.busy_us) >= 0:
                side.append(Side(block, did))
        before = after
    return sides


def compare(canaries: Sequence[Side], others: Sequence[Side]) -> CanaryFinding:
    """Decide by the intervals of all three quantities, and by ejections; pure."""
    asked, beside_asked = _asked(canaries, 1), _asked(others, 1)
    busy, beside = _asked(canaries, LEAST_REQUESTS), _asked(others, LEAST_REQUESTS)
    answers = [
        _answer("ejected by a gateway", lambda: _ejected(canaries, others)),
        _answer("requests failed", lambda: _failed(asked, beside_asked)),
        _answer("CPU per request", lambda: _ratio(busy, beside, "cpu_us", MOST_CPU)),
        _answer("time per request", lambda: _ratio(busy, beside, "took_us", MOST_TIME)),
    ]
    held = [holds for holds, _ in answers]
    opinion: Opinion = "not worse"
    if "fails" in held:
        opinion = "worse"
    elif "cannot tell" in held:
        opinion = "cannot tell"
    requests = [sum(window.did.requests for window in side) for side in (canaries, others)]
    count = f"{requests[0]:,} requests of canaries beside {requests[1]:,} of the others"
    return CanaryFinding(opinion, (f"canary: {opinion} ({count})", *(line for _, line in answers)))


def _asked(side: Sequence[Side], least: int) -> list[Side]:
    return [window for window in side if window.did.requests >= least]


def _ejected(canaries: Sequence[Side], others: Sequence[Side]) -> tuple[Holds, str]:
    here, there = (sum(window.did.ejected for window in side) for side in (canaries, others))
    words = f"after {here} of {len(canaries)} windows, the others after {there}"
    if here <= there:
        return "holds", words
    return "fails" if 2 * (here - there) > len(canaries) else "cannot tell", words


def _answer(what: str, ask: Callable[[], tuple[Holds, str]]) -> tuple[Holds, str]:
    try:
        holds, words = ask()
    except CannotTell as error:
        holds, words = "cannot tell", str(error)
    opinion = {"holds": "not worse", "fails": "worse", "cannot tell": "cannot tell"}[holds]
    return holds, f"  {what}: {opinion}: {words}"


def _ratio(
    canaries: Sequence[Side], others: Sequence[Side], quantity: str, most: float
) -> tuple[Holds, str]:
    measured = estimate.ratio(estimate.blocks(canaries, others, quantity), level=LEVEL)
    words = f"{measured.percent}, worse from {most:+.0%} on"
    return estimate.holds(measured, 1 + most, least=False), words


def _failed(canaries: Sequence[Side], others: Sequence[Side]) -> tuple[Holds, str]:
    pairs = estimate.blocks(canaries, others, "failed", mean=statistics.fmean)
    found = estimate.difference(pairs, level=LEVEL)
    words = f"{found.estimate:+.2%} ({found.low:+.2%} to {found.high:+.2%}), worse from +0.1% on"
    if found.high < MOST_FAILED:
        return "holds", words
    return "fails" if found.low > MOST_FAILED else "cannot tell", words


def _read(world: LocalWorld, names: Collection[str]) -> Counters | None:
    """Add up what every gateway and the cgroups counted; None where a gateway does not answer."""
    pids = world.main_pids()
    counts = [
        counted_by(gateway, pids[gateway.name]) if gateway.name in pids else None
        for gateway in world.plan.replicas
        if gateway.runtime == "asgi"
    ]
    own = [each for every in counts if every for each in every.upstreams if each.instance in names]
    if None in counts or not own:
        return None
    cpu = world.cpu_us()
    return Counters(
        sum(each.answers + each.failures for each in own),
        sum(each.errors + each.failures for each in own),
        sum(each.busy_s for each in own) * 1e6,
        sum(cpu.get(name, 0) for name in names),
        any(each.shunned for each in own),
    )

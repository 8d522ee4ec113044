"""Whether what was promised held: of one strike, and of all orders at the end; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twinstack.faults.catalogue import Promise
from twinstack.faults.drawing import DrawnFault
from twinstack.order_check.history import CausedFault, History, Operation
from twinstack.order_check.judge import counts
from twinstack.order_check.judge import judge as violations_of

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class JudgedFault:
    """One strike, and what the clients saw. Units: seconds."""

    number: int
    fault: str
    target: str
    seconds: float  # that it was there
    reads: int  # that began meanwhile
    reads_failed: int
    slowest_s: float  # of the reads that were answered
    orders: int
    orders_failed: int
    full_after_s: float  # from its end to the last request that failed
    healthy_after_s: float  # from its end until every replica was healthy
    broken: tuple[str, ...]  # what did not hold

    @property
    def held(self) -> bool:
        return not self.broken


def judge(
    drawn: DrawnFault, promise: Promise, operations: Sequence[Operation], struck: CausedFault
) -> JudgedFault:
    """Compare what clients saw with what was promised.

    A request counts by when it was sent: one that was sent before the fault's end and fails after
    it is the fault's.
    """
    ended_s = struck.ended_s
    during = [each for each in operations if struck.began_s <= each.invoked_s < ended_s]
    after = [each for each in operations if each.invoked_s >= ended_s]
    reads = [each for each in during if each.kind == "product-read"]
    orders = [each for each in during if each.kind == "order"]
    failed = _failed(reads)
    answered = (each.ended_s - each.invoked_s for each in reads if each.outcome == "ok")
    slowest_s = max(answered, default=0.0)
    full_after_s = max((each.invoked_s - ended_s for each in _failed(after)), default=0.0)
    broken = []
    allowed = promise.reads_failing
    if allowed is not None and len(failed) > allowed * len(reads):
        statuses = sorted({each.status or each.error for each in failed}, key=str)
        broken.append(f"{len(failed)} of {len(reads)} reads failed: {statuses[0]}")
    if slowest_s > promise.slowest_s:
        broken.append(f"a read took {slowest_s:.2f} s, not {promise.slowest_s:g} s")
    if full_after_s > promise.full_within_s:
        broken.append(f"full service {full_after_s:.2f} s after, not {promise.full_within_s:g} s")
    if not after:
        broken.append("nothing was asked after it")
    return JudgedFault(
        drawn.number,
        drawn.fault,
        drawn.target,
        round(ended_s - struck.began_s, 3),
        len(reads),
        len(failed),
        round(slowest_s, 3),
        len(orders),
        len(_failed(orders)),
        round(full_after_s, 3),
        round(struck.back_s - ended_s, 3),
        tuple(broken),
    )


def _failed(operations: Sequence[Operation]) -> list[Operation]:
    return [each for each in operations if each.outcome != "ok"]


@dataclass(frozen=True, slots=True)
class OrdersSeen:
    """What became of the orders."""

    asked: int
    acknowledged: int
    lost: tuple[str, ...]  # keys of acknowledged orders that are no longer there
    undecided: tuple[str, ...]  # keys that nothing decided
    #: How much more stock went than orders were acknowledged: doubled, or somebody else's.
    surplus: int
    violations: tuple[str, ...] = ()  # the first that the judge of orders finds

    @property
    def held(self) -> bool:
        return not (self.violations or self.surplus)


def judge_orders(history: History, bought: int) -> OrdersSeen:
    """Judge a history as `check.orders` does, and count what was bought, a piece an order."""
    found, number = violations_of(history), counts(history)

    def keys(rule: str) -> tuple[str, ...]:
        named = (each.key for one in found if one.rule == rule for each in one.evidence)
        return tuple(sorted(set(named)))

    gone = history.before.stock[bought] - history.after.stock[bought]
    return OrdersSeen(
        asked=number["keyed_orders"],
        acknowledged=number["acknowledged"],
        lost=keys("lost"),
        undecided=keys("undecided"),
        surplus=gone - number["acknowledged"],
        violations=tuple(map(str, found[:_SHOWN])),
    )

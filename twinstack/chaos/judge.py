"""Whether what was promised held: of one strike, and of all orders at the end; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from twinstack.chaos.clients import Asked, Order
from twinstack.chaos.schedule import DrawnFault
from twinstack.faults.catalogue import Promise


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
    strike: DrawnFault,
    promise: Promise,
    attempts: Sequence[Asked],
    began: float,
    ended: float,
    healthy_after_s: float,
) -> JudgedFault:
    """Compare what clients saw with what was promised.

    A request counts by when it was sent: one that was sent before the fault's end and fails after
    it is the fault's.
    """
    during = [each for each in attempts if began <= each.at < ended]
    after = [each for each in attempts if each.at >= ended]
    reads = [each for each in during if each.kind == "read"]
    orders = [each for each in during if each.kind == "order"]
    failed = [each for each in reads if not each.good]
    slowest_s = max((each.took for each in reads if each.good), default=0.0)
    full_after_s = max((each.at - ended for each in after if not each.good), default=0.0)
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
        strike.number,
        strike.fault,
        strike.target,
        round(ended - began, 3),
        len(reads),
        len(failed),
        round(slowest_s, 3),
        len(orders),
        sum(not each.good for each in orders),
        round(full_after_s, 3),
        round(healthy_after_s, 3),
        tuple(broken),
    )


@dataclass(frozen=True, slots=True)
class OrdersSeen:
    """What became of the orders."""

    asked: int
    acknowledged: int
    lost: tuple[str, ...]  # keys of acknowledged orders that are no longer there
    undecided: tuple[str, ...]  # keys that nothing decided
    #: How much more stock went than orders were acknowledged: doubled, or somebody else's.
    surplus: int

    @property
    def held(self) -> bool:
        return not (self.lost or self.undecided or self.surplus)


def judge_orders(
    orders: Iterable[Order], again: Mapping[str, tuple[int, str]], stock_gone: int
) -> OrdersSeen:
    """Compare orders with what asking again by their keys gave: status and id."""
    listed = tuple(orders)
    known = [order for order in listed if order.order_id]
    lost = [order.key for order in known if again.get(order.key) != (200, order.order_id)]
    statuses = {key: status for key, (status, _) in again.items()}
    undecided = [order.key for order in listed if statuses.get(order.key) not in {200, 201}]
    decided = len(listed) - len(undecided)
    return OrdersSeen(len(listed), len(known), tuple(lost), tuple(undecided), stock_gone - decided)

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.order_cases import Story, shown
from twinstack.chaos.judge import judge, judge_orders
from twinstack.faults.catalogue import Promise
from twinstack.faults.drawing import DrawnFault
from twinstack.order_check.history import CausedFault, Operation

DRAWN = DrawnFault(1, "kill", "redis-cache", 2.0)
STRUCK = CausedFault("kill", "redis-cache", 10.0, 12.0, 12.5)
PROMISE = Promise(reads_failing=0.1, slowest_s=1.0, full_within_s=3.0)


def read(at_s: float, status: int = 200, took_s: float = 0.1, kind="product-read") -> Operation:
    outcome: Any = "ok" if status == 200 else "unknown"
    return Operation(1, 1, kind, at_s, at_s + took_s, outcome, status=status)


GOOD_AFTER = read(12.1)


def broken(*operations: Operation) -> tuple[str, ...]:
    return judge(DRAWN, PROMISE, operations, STRUCK).broken


def test_what_is_within_the_promise_holds():
    nine = [read(10 + number / 10) for number in range(9)]
    seen = judge(DRAWN, PROMISE, [*nine, read(11.5, 503), GOOD_AFTER], STRUCK)
    assert (seen.reads, seen.reads_failed, seen.broken, seen.held) == (10, 1, (), True)
    assert (seen.seconds, seen.healthy_after_s) == (2.0, 0.5)


def test_more_failed_reads_than_promised_break_it():
    assert broken(read(10.5), read(11.0, 503), GOOD_AFTER) == ("1 of 2 reads failed: 503",)


def test_a_slow_answer_breaks_it():
    assert broken(read(10.5, took_s=1.5), GOOD_AFTER) == ("a read took 1.50 s, not 1 s",)


def test_a_request_counts_by_when_it_was_sent():
    # It was sent before the fault's end and failed after it: the fault's.
    assert broken(read(11.9, 0, 5.0, "order"), GOOD_AFTER) == ()
    late = read(15.5, 503, 0.1, "order")
    assert broken(late, GOOD_AFTER) == ("full service 3.50 s after, not 3 s",)


def test_silence_after_it_is_no_recovery():
    assert broken(read(10.5)) == ("nothing was asked after it",)


def test_orders_are_judged_by_what_is_stored():
    story = Story(struck=(STRUCK,))
    for key in "abc":
        story.ordered(key, ((1, 1),), f"order {key}")
    seen = judge_orders(story.history(), 1)
    assert (seen.asked, seen.acknowledged, seen.surplus, seen.held) == (3, 3, 0, True)
    del story.orders["order b"]
    story.did("order", "unknown", key="d", lines=((1, 1),))
    seen = judge_orders(story.history(), 1)
    assert (seen.lost, seen.undecided, seen.surplus) == (("b",), ("d",), -1)
    assert not seen.held


def test_stock_that_went_beyond_the_orders_is_a_surplus():
    story = Story()
    story.ordered("a", ((1, 1),), "order a")
    story.store("", shown(((1, 2),), "somebody else's"))
    seen = judge_orders(story.history(), 1)
    assert (seen.surplus, seen.held) == (2, False)
    assert any(each.startswith("unexpected") for each in seen.violations)
    history = story.history()
    sold = replace(history.after, stock=history.before.stock)
    assert not judge_orders(replace(history, after=sold), 1).held

from __future__ import annotations

from twinstack.chaos.clients import Asked, Order
from twinstack.chaos.judge import judge, judge_orders
from twinstack.chaos.schedule import DrawnFault
from twinstack.faults.catalogue import Promise

STRIKE = DrawnFault(1, "kill", "redis-cache", 2.0)
PROMISE = Promise(reads_failing=0.1, slowest_s=1.0, full_within_s=3.0)


def reads(*answers: tuple[float, int], took: float = 0.1) -> list[Asked]:
    return [Asked("read", at, took, status) for at, status in answers]


GOOD_AFTER = reads((12.1, 200))


def broken(attempts: list[Asked]) -> tuple[str, ...]:
    return judge(STRIKE, PROMISE, attempts, 10.0, 12.0, 0.5).broken


def test_what_is_within_the_promise_holds():
    nine = [(10 + number / 10, 200) for number in range(9)]
    seen = judge(STRIKE, PROMISE, [*reads(*nine, (11.5, 503)), *GOOD_AFTER], 10.0, 12.0, 0.5)
    assert (seen.reads, seen.reads_failed, seen.broken, seen.held) == (10, 1, (), True)


def test_more_failed_reads_than_promised_break_it():
    assert broken([*reads((10.5, 200), (11.0, 503)), *GOOD_AFTER]) == ("1 of 2 reads failed: 503",)


def test_a_slow_answer_breaks_it():
    slow = reads((10.5, 200), took=1.5)
    assert broken([*slow, *GOOD_AFTER]) == ("a read took 1.50 s, not 1 s",)


def test_a_request_counts_by_when_it_was_sent():
    # It was sent before the fault's end and failed after it: the fault's.
    hung = [Asked("order", 11.9, 5.0, 0)]
    assert broken([*hung, *GOOD_AFTER]) == ()
    late = [Asked("order", 15.5, 0.1, 503)]
    assert broken([*late, *GOOD_AFTER]) == ("full service 3.50 s after, not 3 s",)


def test_silence_after_it_is_no_recovery():
    assert broken(reads((10.5, 200))) == ("nothing was asked after it",)


def test_an_order_is_lost_if_its_key_gives_another_id_or_makes_it_again():
    orders = [Order("a", "1"), Order("b", "2"), Order("c", "3")]
    again = {"a": (200, "1"), "b": (200, "9"), "c": (201, "3")}
    seen = judge_orders(orders, again, stock_gone=3)
    assert (seen.lost, seen.undecided, seen.held) == (("b", "c"), (), False)


def test_stock_that_went_beyond_the_orders_is_a_surplus():
    orders = [Order("a", "1"), Order("b")]
    decided = {"a": (200, "1"), "b": (200, "2")}
    assert judge_orders(orders, decided, stock_gone=2).held
    assert judge_orders(orders, decided, stock_gone=3).surplus == 1
    assert judge_orders(orders, {"a": (200, "1")}, stock_gone=1).undecided == ("b",)

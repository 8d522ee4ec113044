"""The judge finds what is wrong with a history, and nothing where all is well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.order_cases import PRICES, Story, shown
from twinstack.order_check.history import CausedFault, ShownLine, Stored, StoredOrder
from twinstack.order_check.judge import counts, judge

REDIS_KILLED = CausedFault("kill", "redis-cache", 2.0, 2.0, 2.5, 5.0, store=True)


def rules(story: Story, **more) -> set[str]:
    return {violation.rule for violation in judge(story.history(**more))}


def good() -> Story:
    """Tell a story with everything in it, in which nothing is wrong."""
    story = Story()
    story.did("product-read", product_id=1, shown=products(10))
    story.ordered("k1", ((1, 2), (2, 1)), "a")
    story.did("product-read", product_id=1, shown=products(8))
    story.did("order", key="k1", lines=((1, 2), (2, 1)), shown=shown(((1, 2), (2, 1)), "a"))
    story.did("order", "refused", key="k1", lines=((1, 1),), error="idempotency_key_reused")
    story.did("order-read", order_id="a", shown=shown(((1, 2), (2, 1)), "a"))
    story.did("order", "refused", key="k2", lines=((2, 3),), error="insufficient_stock")
    story.did("cart-add", lines=((1, 1),))
    story.ordered("k3", ((1, 1),), "b", kind="checkout")
    story.did("checkout", "refused", key="k4", error="cart_empty")
    story.did("cart-read", shown=shown(()))
    return story


def products(stock: int):
    return replace(shown(()), lines=(ShownLine(1, stock, PRICES[1]),))


def test_a_good_history_has_no_violation() -> None:
    assert judge(good().history()) == []


def test_operations_orders_and_faults_are_counted() -> None:
    counted = counts(good().history())
    assert (counted["keyed_orders"], counted["acknowledged"], counted["refused"]) == (4, 2, 2)
    assert (counted["stored"], counted["undecided"], counted["faults"]) == (2, 0, 0)


def test_an_acknowledged_order_that_is_not_stored_is_lost() -> None:
    story = good()
    del story.orders["a"]
    assert "lost" in rules(story)


def test_two_orders_of_one_key_are_a_duplicate() -> None:
    story = good()
    story.ordered("k1", ((1, 2), (2, 1)), "again")
    assert "duplicate" in rules(story)


def test_a_second_stored_order_that_nobody_was_told_of_is_a_duplicate() -> None:
    story = good()
    story.store("k1", shown(((1, 2),), "silent"))
    assert rules(story) == {"duplicate"}


def test_a_stored_order_without_a_key_of_ours_is_unexpected() -> None:
    story = good()
    story.store("", shown(((1, 2),), "silent"))
    assert rules(story) == {"unexpected"}


def test_an_order_stored_otherwise_than_answered_is_changed() -> None:
    story = good()
    story.store("k1", shown(((1, 2),), "a"))
    assert {"changed", "read"} <= rules(story)


def test_a_price_that_is_not_the_catalogues_is_found() -> None:
    story = good()
    order = story.orders["a"]
    story.orders["a"] = StoredOrder("a", "k1", order.total_cents + 1, order.lines)
    assert "price" in rules(story)


def test_a_cart_with_other_prices_is_found() -> None:
    story = good()
    story.did("cart-read", shown=replace(shown(()), total_cents=1))
    assert rules(story) == {"price"}


def test_another_keys_order_in_an_answer_is_foreign() -> None:
    story = good()
    story.did("order", key="k9", lines=((1, 2), (2, 1)), shown=shown(((1, 2), (2, 1)), "a"))
    assert rules(story) == {"foreign"}


def test_a_repeat_that_is_refused_is_found() -> None:
    story = good()
    story.did("order", "refused", key="k1", lines=((1, 2), (2, 1)), error="insufficient_stock")
    assert rules(story) == {"repeat"}


def test_a_refusal_although_there_was_enough_is_found() -> None:
    story = good()
    story.did("order", "refused", key="k7", lines=((2, 2),), error="insufficient_stock")
    assert rules(story) == {"stock"}


@pytest.mark.parametrize("left", [{1: 8, 2: 2}, {1: 7, 2: -1}])
def test_stock_that_is_not_conserved_or_negative_is_found(left: dict[int, int]) -> None:
    story = good()
    after = Stored(PRICES, left, story.orders)
    assert rules(story, after=after) == {"stock"}


def test_stock_that_was_sold_already_is_stale() -> None:
    story = good()
    story.did("product-read", product_id=1, shown=products(10))
    assert rules(story) == {"stale", "order of reads"}


def test_a_fault_may_leave_a_cached_response_until_it_expires() -> None:
    story = good()
    story.struck = (REDIS_KILLED,)
    story.did("product-read", product_id=1, shown=products(10), at_s=20.0)
    assert rules(story) == set()
    story.did("product-read", product_id=1, shown=products(10), at_s=60.0)
    assert "stale" in rules(story)


def test_stock_below_all_that_was_ordered_is_found() -> None:
    story = good()
    story.did("product-read", product_id=1, shown=products(5))
    assert rules(story) == {"stock"}


def test_a_failure_without_a_fault_is_found() -> None:
    story = good()
    story.did("cart-read", "unknown", status=503)
    assert rules(story) == {"answer"}
    story.struck = (REDIS_KILLED,)
    assert rules(story) == set()


@pytest.mark.parametrize(
    ("struck", "at_s", "found"),
    [
        ("postgres-db", 12.0, set()),
        ("postgres-db", 19.0, {"answer"}),  # it is long over
        ("api-gateway", 12.0, {"answer"}),
    ],
)
def test_a_lock_may_be_waited_for_in_vain_while_a_store_is_struck(
    struck: str, at_s: float, found: set[str]
) -> None:
    story = good()
    store = struck == "postgres-db"
    story.struck = (CausedFault("link-down", struck, 10, 11, 11.5, 5.0, store=store),)
    story.did(
        "order",
        "refused",
        at_s=at_s,
        ended_s=at_s + 1,
        key="k9",
        lines=((1, 1),),
        status=409,
        error="database_busy",
    )
    assert rules(story) == found


def test_an_internal_error_is_never_expected() -> None:
    story = good()
    story.struck = (REDIS_KILLED,)
    story.did("cart-read", "unknown", status=500)
    assert rules(story) == {"answer"}


def test_an_answer_without_its_content_is_found() -> None:
    story = good()
    story.did("product-read", shown=None)
    assert rules(story) == {"answer"}


def test_an_order_that_stays_undecided_is_found() -> None:
    story = good()
    story.struck = (REDIS_KILLED,)
    story.did("order", "unknown", key="k8", lines=((1, 1),))
    assert rules(story) == {"undecided"}


def test_an_order_of_something_else_is_found() -> None:
    story = good()
    story.ordered("k8", ((1, 1),), "c", session=2)
    asked = story.operations.pop()
    story.operations.append(replace(asked, lines=((1, 2),)))
    assert rules(story) == {"content"}


def test_an_order_that_cannot_be_read_is_found() -> None:
    story = good()
    story.did("order-read", "refused", order_id="a", status=404, error="unknown_order")
    assert rules(story) == {"read"}


def test_a_lost_cart_is_found_unless_redis_lost_all() -> None:
    story = Story(struck=(REDIS_KILLED,))
    story.did("cart-add", lines=((1, 1),))
    story.did("cart-read", shown=shown(()), at_s=3.0)
    assert rules(story) == {"cart"}
    story.struck = (replace(REDIS_KILLED, fault="flush"),)
    assert rules(story) == set()


def test_a_flush_that_was_begun_before_a_session_may_empty_its_first_cart() -> None:
    story = Story(struck=(replace(REDIS_KILLED, fault="flush", began_s=0.9, ended_s=1.8),))
    story.did("cart-add", lines=((1, 1),), at_s=1.0)
    story.did("cart-read", shown=shown(()), at_s=3.0)
    assert rules(story) == set()


def test_a_violation_shows_the_operations() -> None:
    story = good()
    story.ordered("k1", ((1, 2), (2, 1)), "again")
    (violation,) = [each for each in judge(story.history()) if each.rule == "duplicate"]
    assert "2 orders of one key" in str(violation)
    assert {each.shown.order_id for each in violation.evidence if each.shown} == {"a", "again"}


def test_a_key_is_its_sessions_own() -> None:
    story = good()
    story.ordered("k1", ((1, 1),), "c", session=2)
    assert judge(story.history()) == []

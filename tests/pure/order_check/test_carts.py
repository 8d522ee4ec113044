"""A session's cart operations have an order that explains them, or the first that has none."""

from __future__ import annotations

import pytest

from tests.support.order_cases import Story, shown
from twinstack.order_check import carts
from twinstack.order_check.history import Operation
from twinstack.order_check.judge import judge


def wrong(
    story: Story, *, losses: tuple[float, ...] = (), owing_until_s: float = 0
) -> Operation | None:
    return carts.explain(story.operations, losses, owing_until_s).inexplicable


def test_what_is_added_is_shown_and_checked_out_once() -> None:
    story = Story()
    story.did("cart-add", lines=((1, 1),))
    story.did("cart-add", lines=((1, 2),), shown=shown(((1, 3),)))
    story.ordered("a", ((1, 3),), "o", kind="checkout")
    story.ordered("a", ((1, 3),), "o", kind="checkout")
    story.did("cart-read", shown=shown(()))
    assert wrong(story) is None
    twice = story.ordered("b", ((1, 3),), "p", kind="checkout")
    assert wrong(story) == twice


def test_an_addition_that_counts_twice_is_inexplicable() -> None:
    story = Story()
    story.did("cart-add", "unknown", lines=((1, 1),))
    seen = story.did("cart-read", shown=shown(((1, 2),)))
    assert wrong(story) == seen


@pytest.mark.parametrize("later", [(), ((1, 1),)])
def test_an_unknown_addition_may_have_happened_or_not(later) -> None:
    story = Story()
    story.did("cart-add", "unknown", lines=((1, 1),))
    story.did("cart-read", shown=shown(later))
    assert wrong(story) is None


def test_an_unknown_addition_may_happen_late_but_is_not_undone() -> None:
    story = Story()
    story.did("cart-add", "unknown", lines=((1, 1),))
    story.did("cart-read", shown=shown(()))
    story.did("cart-read", shown=shown(((1, 1),)))
    assert wrong(story) is None
    undone = story.did("cart-read", shown=shown(()))
    assert wrong(story) == undone


def test_one_of_two_checkouts_at_once_gets_the_cart() -> None:
    story = Story()
    story.did("cart-add", lines=((1, 1),))
    story.did("checkout", "refused", key="a", error="cart_empty", at_s=2.0, ended_s=4.0)
    story.did("checkout", key="b", shown=shown(((1, 1),), "o"), at_s=2.5, ended_s=3.0)
    assert wrong(story) is None
    story.operations[1] = story.did(
        "checkout", key="a", shown=shown(((1, 1),), "p"), at_s=2.0, ended_s=4.0
    )
    story.operations.pop()
    assert wrong(story) is not None


def test_a_refused_repeat_of_a_checkout_is_inexplicable() -> None:
    story = Story()
    story.did("cart-add", lines=((1, 1),))
    story.ordered("a", ((1, 1),), "o", kind="checkout")
    refused = story.did("checkout", "refused", key="a", error="cart_empty")
    assert wrong(story) == refused


def test_what_was_ordered_may_still_be_shown_after_a_fault_but_not_bought() -> None:
    story = Story()
    story.did("cart-add", lines=((1, 1),))
    story.ordered("a", ((1, 1),), "o", kind="checkout")
    story.did("cart-add", lines=((2, 1),), shown=shown(((1, 1), (2, 1))))
    assert wrong(story, owing_until_s=10) is None
    assert wrong(story) is not None
    story.did("cart-read", shown=shown(((2, 1),)))
    assert wrong(story, owing_until_s=10) is None
    bought = story.ordered("b", ((1, 1), (2, 1)), "p", kind="checkout")
    assert wrong(story, owing_until_s=10) == bought


def test_a_cart_that_nobody_emptied_is_inexplicable_unless_the_store_lost_it() -> None:
    story = Story()
    story.did("cart-add", lines=((1, 1),))
    empty = story.did("cart-read", shown=shown(()), at_s=5.0)
    assert wrong(story) == empty
    assert wrong(story, losses=(3.0,)) is None


def test_a_put_replaces_and_a_clear_empties() -> None:
    story = Story()
    story.did("cart-add", lines=((1, 1),))
    story.did("cart-put", lines=((2, 2),))
    story.did("cart-clear", shown=None)
    story.did("cart-read", shown=shown(()))
    assert wrong(story) is None


def test_a_search_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carts, "MOST_STATES", 50)
    story = Story()
    for quantity in range(1, 12):
        story.did("cart-add", "unknown", lines=((1, quantity),))
    story.did("cart-read", shown=shown(((1, 1000),)))
    assert carts.explain(story.operations).given_up
    assert [each.rule for each in judge(story.history())][-1] == "undecided"


@pytest.mark.parametrize("emptied", [True, False])
def test_a_checkout_that_is_sent_again_for_seconds_is_judged(emptied: bool) -> None:
    story = Story()
    story.did("cart-add", lines=((1, 1),), shown=shown(((1, 1),)))
    for _ in range(40):
        story.did("checkout", "unknown", key="a")
    story.did("cart-add", "unknown", lines=((1, 1),))
    story.did("cart-read", shown=shown(() if emptied else ((1, 1),)))
    assert carts.explain(story.operations) == carts.Search()
    wrong_read = story.did("cart-read", shown=shown(((1, 3),)))
    assert carts.explain(story.operations) == carts.Search(wrong_read)

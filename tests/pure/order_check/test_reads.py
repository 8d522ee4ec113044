"""Reads are compared with what was stored, and with what may have been sold by then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.core_cases import edited_plan
from tests.support.order_cases import PRICES, STOCK, Story, shown
from twinstack.order_check import reads
from twinstack.order_check.history import CausedFault, ShownLine
from twinstack.order_check.stock import Sales


def product(stock: int, price_cents: int = PRICES[1]):
    return replace(shown(()), lines=(ShownLine(1, stock, price_cents),))


def rules(story: Story, sales: Sales) -> list[str]:
    found = reads.of_products(story.history(), sales)
    return [violation.rule for violation in found]


def test_a_product_shows_stock_between_the_least_and_the_most() -> None:
    sales = Sales.of([(((1, 2),), 1.2, 1.6)], STOCK)  # sent and answered while it was read
    for stock, found in ((10, []), (8, []), (7, ["stock"]), (11, ["stale"])):
        story = Story()
        story.did("product-read", product_id=1, shown=product(stock))
        assert rules(story, sales) == found


def test_a_product_may_be_old_for_a_while_after_a_fault() -> None:
    sales = Sales.of([(((1, 2),), 30.2, 30.4)], STOCK)
    struck = [CausedFault("kill", "redis-cache", at_s, at_s, at_s + 1) for at_s in (1.0, 50.0)]
    for at_s, found in ((31.0, []), (45.0, ["stale"]), (55.0, []), (90.0, ["stale"])):
        story = Story(struck=struck)
        story.did("product-read", product_id=1, shown=product(10), at_s=at_s)
        assert rules(story, sales) == found


@pytest.mark.parametrize(("cache", "late"), [("shared", ["stale"]), ("near", [])])
def test_a_near_copy_may_be_a_second_old(cache: str, late: list[str]) -> None:
    def edit(written: dict[str, Any]) -> None:
        written["services"]["product-service"]["cache"] = cache

    age_s = reads.copies_s(edited_plan(edit))
    sales = Sales.of([(((1, 2),), 0.1, 0.2)], STOCK)
    for at_s, found in ((0.9, late), (2.0, ["stale"])):
        story = Story()
        story.did("product-read", product_id=1, shown=product(10), at_s=at_s)
        history = story.history(copies_s=age_s)
        assert [each.rule for each in reads.of_products(history, sales)] == found


def test_a_session_never_sees_stock_come_back() -> None:
    sales = Sales.of([(((1, 2),), 0.0, 99.0)], STOCK)
    story = Story()
    for session, stock in ((1, 8), (2, 10), (1, 10)):
        story.did("product-read", session=session, product_id=1, shown=product(stock))
    assert rules(story, sales) == ["order of reads"]


def test_a_products_price_is_the_catalogues() -> None:
    story = Story()
    story.did("product-read", product_id=1, shown=product(10, price_cents=99))
    assert rules(story, Sales.of([], STOCK)) == ["price"]


def test_an_order_reads_as_it_is_stored() -> None:
    story = Story()
    story.ordered("k", ((1, 1),), "a")
    story.did("order-read", order_id="a", shown=shown(((1, 2),), "a"))
    story.did("order-read", "refused", order_id="a", error="unknown_order")
    story.did("order-read", "unknown", order_id="a")
    found = reads.of_orders(story.history(), story.orders)
    assert [violation.what for violation in found] == [
        "it differs from the stored order",
        "an acknowledged order was not found",
    ]

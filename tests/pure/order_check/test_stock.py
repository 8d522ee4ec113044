"""Stock has a least and a most at every moment, by what was sent and what was acknowledged."""

from __future__ import annotations

from twinstack.order_check.stock import Sales


def test_stock_is_between_what_was_sent_and_what_was_acknowledged() -> None:
    sales = Sales.of([(((1, 2),), 1.0, 3.0), (((1, 1),), 2.0, float("inf"))], {1: 10, 2: 5})
    assert [sales.least(1, at_s) for at_s in (0.5, 1.0, 2.5)] == [10, 8, 7]
    assert [sales.most(1, at_s) for at_s in (0.5, 2.9, 3.0, 99.0)] == [10, 10, 8, 8]
    assert (sales.least(2, 9.0), sales.most(2, 9.0)) == (5, 5)

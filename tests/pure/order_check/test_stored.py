"""What the reader prints is read whole, however the service keeps an order's key."""

from __future__ import annotations

from twinstack.order_check.history import ShownLine
from twinstack.order_check.stored import parse


def test_orders_come_with_their_lines_and_the_catalogue_with_its_stock() -> None:
    items = [
        {"order_id": "a", "product_id": product, "quantity": 1, "unit_price_cents": 5}
        for product in (2, 1)
    ]
    orders = [{"id": "a", "total_cents": 10, "idempotency_key": "k"}, {"id": "b", "total_cents": 1}]
    products = [{"id": 1, "price_cents": 5, "stock": 3}]
    stored = parse({"products": products, "orders": orders, "items": items})
    assert (stored.prices, stored.stock) == ({1: 5}, {1: 3})
    assert stored.orders["a"].lines == (ShownLine(1, 1, 5), ShownLine(2, 1, 5))
    assert (stored.orders["a"].key, stored.orders["b"].key) == ("k", "")

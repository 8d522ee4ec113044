"""Reads of orders and products, against what was stored and sold; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from twinstack.order_check.history import History, Operation, Shown, StoredOrder
from twinstack.order_check.stock import Sales
from twinstack.order_check.violation import Promises, Violation, shown_by

#: A fault's effects on requests under way end this long after it.
_SETTLED_S = 3.0


def of_orders(history: History, stored: Mapping[str, StoredOrder]) -> Iterator[Violation]:
    """Check that a session's order is found, and always alike."""
    for each in history.operations:
        if each.kind != "order-read" or each.outcome == "unknown":
            continue
        order = stored.get(each.order_id)
        if each.outcome == "refused":
            yield shown_by("read", "an acknowledged order was not found", each)
        elif order and each.shown and _content(each.shown) != _content(order):
            yield shown_by("read", "it differs from the stored order", each)


def of_products(history: History, sales: Sales, promises: Promises) -> Iterator[Violation]:
    """Check prices, and that stock is what it may have been at the time, and never comes back."""
    prices = history.before.prices
    latest: dict[tuple[int, int], tuple[int, Operation]] = {}
    for each in history.operations:
        if each.kind != "product-read" or each.shown is None:
            continue
        stale_s = _stale_s(history, promises, each)
        for line in each.shown.lines:
            product, stock = line.product_id, line.pieces
            if line.price_cents != prices.get(product):
                yield shown_by("price", f"product {product} costs {prices[product]}", each)
            most = sales.most(product, each.invoked_s - stale_s)
            least = sales.least(product, each.ended_s)
            if not least <= stock <= most:
                what = f"product {product}: {stock} is not from {least} to {most}"
                yield shown_by("stale" if stock > most else "stock", what, each)
            name = (each.session, product)
            earlier = latest.get(name)
            if earlier and not stale_s and stock > earlier[0]:
                what = f"product {product}: the session had seen {earlier[0]} before {stock}"
                yield shown_by("order of reads", what, earlier[1], each)
            latest[name] = (stock, each)


def _stale_s(history: History, promises: Promises, operation: Operation) -> float:
    """Give how old a response may be: what a fault left in the cache stays until it expires."""
    stale_s = promises.stale_s
    for struck in history.struck:
        ends_s = max(struck.ended_s, struck.back_s) + _SETTLED_S + stale_s
        if struck.began_s <= operation.ended_s and operation.invoked_s <= ends_s:
            return stale_s + _SETTLED_S
    return 0.0


def _content(order: Shown | StoredOrder) -> tuple[object, ...]:
    return order.order_id, order.lines, order.total_cents

"""Reads of orders and products, against what was stored and sold; pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping

from twinstack.model.plan import Plan
from twinstack.order_check.history import History, Operation, Shown, StoredOrder
from twinstack.order_check.stock import Sales
from twinstack.order_check.violation import Violation, shown_by

#: A fault's effects on requests under way end this long after it; what it left in the cache stays
#: until it expires (CACHE_TTL_S).
_SETTLED_S, _CACHED_S = 3.0, 30.0
#: How long a service trusts its own copy. Source: services/product_service/near_cache.py, TRUST_S.
_NEAR_S = 1.0


def copies_s(plan: Plan) -> float:
    """Give how old a product may be in a world without a fault. Units: seconds."""
    near = any(("CACHE", "near") in replica.environment for replica in plan.replicas)
    return _NEAR_S if near else 0.0


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


def of_products(history: History, sales: Sales) -> Iterator[Violation]:
    """Check prices, and that stock is what it may have been at the time, and never comes back."""
    prices, spans = history.before.prices, _stale_spans(history)
    latest: dict[tuple[int, int], tuple[int, Operation]] = {}
    for each in history.operations:
        if each.kind != "product-read" or each.shown is None:
            continue
        stale_s = _SETTLED_S + _CACHED_S if _is_within(spans, each) else history.copies_s
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


def _stale_spans(history: History) -> list[tuple[float, float]]:
    """Give the times in which a response may be old, in order and apart."""
    spans: list[tuple[float, float]] = []
    for struck in sorted(history.struck, key=lambda fault: fault.began_s):
        end_s = max(struck.ended_s, struck.back_s) + _SETTLED_S + _CACHED_S
        if spans and struck.began_s <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end_s))
        else:
            spans.append((struck.began_s, end_s))
    return spans


def _is_within(spans: list[tuple[float, float]], operation: Operation) -> bool:
    place = bisect_right(spans, operation.ended_s, key=lambda span: span[0])
    return bool(place) and operation.invoked_s <= spans[place - 1][1]


def _content(order: Shown | StoredOrder) -> tuple[object, ...]:
    return order.order_id, order.lines, order.total_cents

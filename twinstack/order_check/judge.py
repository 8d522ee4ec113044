"""The one judge: a history and what PostgreSQL holds in the end, to violations; pure.

Whatever was asked in whichever world, with faults or without:

- every acknowledged order is stored once, as it was answered, and no other order is;
- a key places one order, and its repeats are answered with that order;
- prices and totals are the catalogue's; stock is what it was less what is stored, never negative;
- an order is refused for want of stock only when stock may have been short;
- a session reads the orders that it placed, always alike; its cart operations can be put in an
  order that explains every answer (`carts`);
- a product read shows no stock that was already sold, but for a cached response after a fault.

A violation names the operations that show it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from twinstack.order_check import carts, reads
from twinstack.order_check.history import (
    BUSY,
    ORDERING,
    History,
    Operation,
    Shown,
    StoredOrder,
)
from twinstack.order_check.stock import Sales
from twinstack.order_check.violation import Violation, shown_by

#: Refusals that a client of this load may get, by kind of operation.
EXPECTED = {
    "order": {"insufficient_stock", "idempotency_key_reused"},
    "checkout": {"insufficient_stock", "cart_empty"},
    "order-read": {"unknown_order"},  # judged by itself
}
_CART = frozenset({"cart-add", "cart-put", "cart-clear", "cart-read", "checkout"})


@dataclass(frozen=True)
class _Key:
    """All requests with one session's key."""

    session: int
    key: str
    operations: list[Operation] = field(default_factory=list)

    @cached_property
    def acknowledged(self) -> list[Operation]:
        return [each for each in self.operations if each.outcome == "ok" and each.shown]

    @property
    def first(self) -> Operation:
        return self.operations[0]

    @cached_property
    def ids(self) -> set[str]:
        return {each.shown.order_id for each in self.acknowledged if each.shown}


def judge(history: History) -> list[Violation]:
    """List the violations of a history."""
    return list(_Judge(history).violations())


def counts(history: History) -> dict[str, int]:
    """Count what a report states: keyed orders, acknowledged, refused, faults."""
    keys = {(each.session, each.key): "" for each in history.operations if each.kind in ORDERING}
    for each in history.operations:
        if each.kind in ORDERING and keys[each.session, each.key] != "ok":
            keys[each.session, each.key] = each.outcome
    outcomes = Counter(keys.values())
    return {
        "operations": len(history.operations),
        "keyed_orders": len(keys),
        "acknowledged": outcomes["ok"],
        "refused": outcomes["refused"],
        "undecided": outcomes["unknown"],
        "stored": len(history.new_orders),
        "unknown_outcomes": sum(each.outcome == "unknown" for each in history.operations),
        "faults": len(history.struck),
    }


class _Judge:
    def __init__(self, history: History) -> None:
        self.history = history
        self.stored = history.new_orders
        self.keys: dict[tuple[int, str], _Key] = {}
        for each in history.operations:
            if each.kind in ORDERING:
                name = (each.session, each.key)
                self.keys.setdefault(name, _Key(*name)).operations.append(each)
        self.by_id: dict[str, _Key] = {}
        for key in self.keys.values():
            for order_id in key.ids:
                self.by_id.setdefault(order_id, key)
        self.sales = Sales.of(self._sold(), history.before.stock)

    def violations(self) -> Iterator[Violation]:
        yield from self._answers()
        yield from self._orders()
        for key in self.keys.values():
            yield from self._key(key)
        yield from self._stock()
        yield from reads.of_orders(self.history, self.stored)
        yield from reads.of_products(self.history, self.sales)
        yield from self._carts()

    def _sold(self) -> Iterator[tuple[tuple[tuple[int, int], ...], float, float]]:
        for key in self.keys.values():
            for order_id in key.ids:
                answered = next(each for each in key.acknowledged if _id(each) == order_id)
                lines = answered.shown.quantities if answered.shown else ()
                yield lines, key.first.invoked_s, answered.ended_s
        for order in self.stored.values():
            if order.order_id not in self.by_id:  # it may have been placed at any moment
                yield Shown(order.lines).quantities, float("-inf"), float("inf")

    def _answers(self) -> Iterator[Violation]:
        """Every answer has its content and an expected status; without a fault, there is one."""
        for each in self.history.operations:
            if each.outcome == "ok" and each.shown is None and each.kind != "cart-clear":
                yield shown_by("answer", "an answer without its content", each)
            elif each.outcome == "refused" and not self._is_expected(each):
                yield shown_by("answer", f"refused: {each.status} {each.error}", each)
            elif each.kind in _CART and each.shown and not self._is_priced(each.shown):
                yield shown_by("price", "its prices are not the catalogue's", each)
            elif each.status == 500:
                yield shown_by("answer", "an internal error", each)
            elif each.outcome == "unknown" and not self.history.struck:
                yield shown_by("answer", "no answer although nothing was broken", each)

    def _is_expected(self, refused: Operation) -> bool:
        """Say whether it may be refused so. A lock may be kept by who waits for a store."""
        if refused.error != BUSY:
            return refused.error in EXPECTED.get(refused.kind, ())
        return refused.kind in ORDERING and any(
            each.began_s < refused.ended_s and refused.invoked_s < each.over_s + each.within_s
            for each in self.history.struck
            if each.store
        )

    def _orders(self) -> Iterator[Violation]:
        for order_id, key in self.by_id.items():
            order = self.stored.get(order_id)
            if order is None:
                yield shown_by("lost", f"order {order_id} was acknowledged", *key.operations)
            else:
                yield from self._as_answered(order, key)
        for order in self.stored.values():
            if order.order_id not in self.by_id:
                named = [key for key in self.keys.values() if order.key and order.key == key.key]
                known = [each for key in named for each in key.operations]
                rule = "duplicate" if any(key.ids for key in named) else "unexpected"
                what = f"order {order.order_id} (key {order.key or 'none'}) was never acknowledged"
                yield shown_by(rule, what, *known)
            yield from self._priced(order)

    def _as_answered(self, order: StoredOrder, key: _Key) -> Iterator[Violation]:
        for each in key.acknowledged:
            shown = each.shown
            if shown is None or shown.order_id != order.order_id:
                continue
            if (shown.lines, shown.total_cents) != (order.lines, order.total_cents):
                yield shown_by("changed", f"stored is {order.lines} {order.total_cents}", each)

    def _is_priced(self, shown: Shown) -> bool:
        prices = self.history.before.prices
        total = sum(prices.get(line.product_id, 0) * line.pieces for line in shown.lines)
        return total == shown.total_cents and all(
            line.price_cents == prices.get(line.product_id) for line in shown.lines
        )

    def _priced(self, order: StoredOrder) -> Iterator[Violation]:
        if not self._is_priced(Shown(order.lines, order.total_cents)):
            key = self.by_id.get(order.order_id)
            what = f"order {order.order_id}: {order.lines} {order.total_cents}"
            yield shown_by("price", what, *(key.operations if key else ()))

    def _key(self, key: _Key) -> Iterator[Violation]:
        if len(key.ids) > 1:
            yield shown_by("duplicate", f"{len(key.ids)} orders of one key", *key.operations)
        if any(self.by_id[order_id] is not key for order_id in key.ids):
            yield shown_by("foreign", "another key's order was answered", *key.operations)
        if not key.acknowledged and all(each.outcome == "unknown" for each in key.operations):
            yield shown_by("undecided", "it never got a definite answer", *key.operations)
        placed_s = min((each.ended_s for each in key.acknowledged), default=float("inf"))
        for each in key.operations:
            shown = each.shown
            if each.kind == "order" and shown and shown.quantities != each.lines:
                yield shown_by("content", "another order than asked for", each)
            if each.outcome != "refused":
                continue
            is_repeat = each.kind == "checkout" or each.lines == key.first.lines
            if each.error == "idempotency_key_reused":
                if is_repeat:
                    yield shown_by("repeat", "a repeat was refused as another order", each)
            elif is_repeat and placed_s < each.invoked_s:
                yield shown_by("repeat", "a repeat of an order was refused", each)
            elif each.kind == "order" and each.error == "insufficient_stock":
                yield from self._refused(each)

    def _refused(self, operation: Operation) -> Iterator[Violation]:
        ended_s, least = operation.ended_s, self.sales.least
        if not any(least(product, ended_s) < quantity for product, quantity in operation.lines):
            yield shown_by("stock", "refused although there was enough", operation)

    def _stock(self) -> Iterator[Violation]:
        sold: Counter[int] = Counter()
        for order in self.stored.values():
            for line in order.lines:
                sold[line.product_id] += line.pieces
        before, after = self.history.before, self.history.after
        for product, count in sorted(before.stock.items()):
            left = after.stock.get(product)
            if left != count - sold[product]:
                what = f"product {product}: {count} less {sold[product]} sold is not {left}"
                yield Violation("stock", what)
            if left is not None and left < 0:
                yield Violation("stock", f"product {product}: {left} is negative")
            if after.prices.get(product) != before.prices[product]:
                yield Violation("price", f"product {product}: its price has changed")

    def _carts(self) -> Iterator[Violation]:
        sessions: dict[int, list[Operation]] = defaultdict(list)
        with_cart = {each.session for each in self.history.operations if each.kind in _CART}
        for each in self.history.operations:
            if each.session in with_cart and each.kind in _CART:
                sessions[each.session].append(each)
        flushes = [each for each in self.history.struck if each.fault == "flush"]
        for operations in sessions.values():
            owing_until_s = self.history.calm_s if self.history.struck else float("-inf")
            first_s, last_s = operations[0].invoked_s, max(each.ended_s for each in operations)
            losses = [
                flush.began_s
                for flush in flushes
                if flush.began_s <= last_s and flush.ended_s >= first_s
            ]
            search = carts.explain(operations, losses, owing_until_s)
            if search.inexplicable is not None:
                what = f"no order of the session's operations explains {search.inexplicable.number}"
                marked = [search.inexplicable, *operations]
                yield shown_by("cart", what, *marked)
            elif search.given_up:
                yield shown_by("undecided", "too many unknown outcomes in a cart", *operations)


def _id(operation: Operation) -> str:
    return operation.shown.order_id if operation.shown else ""

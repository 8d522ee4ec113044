"""Histories in few words, for the tests of the judge of orders."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from twinstack.order_check.history import (
    CausedFault,
    History,
    Kind,
    Lines,
    Operation,
    Shown,
    ShownLine,
    Stored,
    StoredOrder,
)

PRICES = {1: 100, 2: 250}
STOCK = {1: 10, 2: 3}
#: As a service writes one.
ORDER = {
    "id": "a",
    "total_cents": 300,
    "items": [{"product_id": 1, "name": "n", "quantity": 3, "unit_price_cents": 100}],
}


def shown(lines: Lines, order_id: str = "") -> Shown:
    """Give an answer of these quantities at the catalogue's prices."""
    priced = tuple(ShownLine(product, count, PRICES[product]) for product, count in lines)
    return Shown(priced, sum(line.pieces * line.price_cents for line in priced), order_id)


@dataclass
class Story:
    """Operations one after another, a second each, and what is stored in the end."""

    operations: list[Operation] = field(default_factory=list)
    orders: dict[str, StoredOrder] = field(default_factory=dict)
    struck: Sequence[CausedFault] = ()
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def did(self, kind: Kind, outcome: Any = "ok", *, session: int = 1, **more: Any) -> Operation:
        """Add an operation; an answer that is not given is what was asked for."""
        number = next(self._numbers)
        at_s = more.pop("at_s", float(number))
        ended_s = more.pop("ended_s", at_s + 0.5)
        if outcome == "ok" and "shown" not in more:
            more["shown"] = shown(more.get("lines", ()), more.get("order_id", ""))
        done = Operation(number, session, kind, at_s, ended_s, outcome, **more)
        self.operations.append(done)
        return done

    def ordered(
        self, key: str, lines: Lines, order_id: str, *, kind: Kind = "order", **more: Any
    ) -> Operation:
        """Add an order that was acknowledged, and store it."""
        asked = lines if kind == "order" else ()
        answer = shown(lines, order_id)
        self.store(key, answer)
        return self.did(kind, key=key, lines=asked, shown=answer, **more)

    def store(self, key: str, answer: Shown) -> None:
        """Store an order as it was answered."""
        order = StoredOrder(answer.order_id, key, answer.total_cents, answer.lines)
        self.orders[answer.order_id] = order

    def history(self, **more: Any) -> History:
        """Give the history; the stock left is what was not sold."""
        left = dict(STOCK)
        for order in self.orders.values():
            for line in order.lines:
                left[line.product_id] -= line.pieces
        before, after = Stored(PRICES, STOCK, {}), Stored(PRICES, left, self.orders)
        made = History("net", 1, before, after, tuple(self.operations), tuple(self.struck))
        return replace(made, **more)

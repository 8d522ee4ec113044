"""What was asked of the stack and what came back, whole; pure.

An operation is one HTTP request, with the moment it was sent and the moment it ended. Its outcome
is "ok" (done, as answered), "refused" (certainly not done) or "unknown": it may have been done, may
be done later, or never. The words are Jepsen's. Times are seconds since the history began.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal[
    "order",
    "checkout",
    "order-read",
    "product-read",
    "cart-add",
    "cart-put",
    "cart-clear",
    "cart-read",
]
OutcomeWord = Literal["ok", "refused", "unknown"]
Lines = tuple[tuple[int, int], ...]  # (product id, quantity), by id
ORDERING: frozenset[Kind] = frozenset({"order", "checkout"})


class ShownLine(NamedTuple):
    """A line of an answer."""

    product_id: int
    pieces: int  # ordered, or of a product those in stock
    price_cents: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What an answer says: an order, a cart, or products."""

    lines: tuple[ShownLine, ...] = ()
    total_cents: int = 0
    order_id: str = ""

    @property
    def quantities(self) -> Lines:
        """Give the lines without their prices."""
        return tuple(sorted((line.product_id, line.pieces) for line in self.lines))


@dataclass(frozen=True, slots=True)
class Operation:
    """One request and how it ended."""

    number: int
    session: int
    kind: Kind
    invoked_s: float
    ended_s: float
    outcome: OutcomeWord
    lines: Lines = ()  # asked for
    key: str = ""
    order_id: str = ""  # of the order to read
    product_id: int = 0  # to read; 0: the list
    status: int = 0  # HTTP's; 0 without an answer
    error: str = ""  # the answer's code, or why there is none
    shown: Shown | None = None
    request_id: str = ""  # to be found in the services' logs

    def __str__(self) -> str:
        asked = " ".join(f"{quantity}×{product}" for product, quantity in self.lines)
        asked = asked or self.order_id or (f"product {self.product_id}" if self.product_id else "")
        key = f" key {self.key}" if self.key else ""
        seen = ""
        if self.shown:
            lines = (f"{line.pieces}×{line.product_id}" for line in self.shown.lines[:4])
            seen = f" {self.shown.order_id} {' '.join(lines)}".rstrip()
        return (
            f"{self.invoked_s:.3f}–{self.ended_s:.3f} s session {self.session}: {self.kind}"
            f" {asked}{key}: {self.outcome} {self.status} {self.error}{seen} [{self.request_id}]"
        )


@dataclass(frozen=True, slots=True)
class CausedFault:
    """A fault as it happened."""

    what: str  # "kill", "sigstop", …
    replica: str
    service: str
    began_s: float
    ended_s: float  # a kill ends as it begins; a frozen replica goes on
    back_s: float  # its own probe succeeds again

    def __str__(self) -> str:
        lasted = f", for {self.ended_s - self.began_s:.2f} s" if self.ended_s > self.began_s else ""
        return f"{self.began_s:.3f} s: {self.what} {self.replica}{lasted}"


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order as PostgreSQL holds it."""

    order_id: str
    key: str
    total_cents: int
    lines: tuple[ShownLine, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """What PostgreSQL holds at one moment."""

    prices: Mapping[int, int]  # product id → cents
    stock: Mapping[int, int]
    orders: Mapping[str, StoredOrder]


@dataclass(frozen=True, slots=True)
class History:
    """Everything that one run saw."""

    world: str
    seed: int
    before: Stored
    after: Stored
    operations: tuple[Operation, ...]
    struck: tuple[CausedFault, ...] = ()
    seconds: float = 0.0
    calm_s: float = 0.0  # from then on everything is settled
    orders_before: frozenset[str] = field(default=frozenset())  # their ids

    @property
    def new_orders(self) -> dict[str, StoredOrder]:
        """Give the orders that were placed during the run, by id."""
        old = self.orders_before
        return {key: order for key, order in self.after.orders.items() if key not in old}


def encode(history: History) -> Iterable[str]:
    """Write a history as lines of JSON: the head, then each fault, order and operation."""
    head = {
        "world": history.world,
        "seed": history.seed,
        "seconds": history.seconds,
        "calm_s": history.calm_s,
        "prices": _pairs(history.before.prices),
        "stock_before": _pairs(history.before.stock),
        "prices_after": _pairs(history.after.prices),
        "stock_after": _pairs(history.after.stock),
    }
    yield json.dumps({"head": head})
    for struck in history.struck:
        yield json.dumps({"struck": _fields(struck)})
    for order in history.new_orders.values():
        yield json.dumps({"stored": _fields(order)})
    for operation in history.operations:
        yield json.dumps({"operation": _fields(operation)})


def decode(lines: Iterable[str]) -> History:
    """Read what `encode` wrote. Raises: ValueError, KeyError, TypeError."""
    head: dict[str, Any] = {}
    struck: list[CausedFault] = []
    orders: dict[str, StoredOrder] = {}
    operations: list[Operation] = []
    for line in lines:
        ((kind, value),) = json.loads(line).items()
        if kind == "head":
            head = value
        elif kind == "struck":
            struck.append(CausedFault(**value))
        elif kind == "stored":
            order = StoredOrder(**{**value, "lines": _shown_lines(value["lines"])})
            orders[order.order_id] = order
        else:
            operations.append(_operation(value))
    before = Stored(_mapping(head["prices"]), _mapping(head["stock_before"]), {})
    after = Stored(_mapping(head["prices_after"]), _mapping(head["stock_after"]), orders)
    words = (head["world"], head["seed"], before, after, tuple(operations), tuple(struck))
    return History(*words, seconds=head["seconds"], calm_s=head["calm_s"])


def _operation(value: dict[str, Any]) -> Operation:
    shown = value.get("shown")
    if shown is not None:
        shown = Shown(**{**shown, "lines": _shown_lines(shown.get("lines", ()))})
    lines = tuple((product, quantity) for product, quantity in value.get("lines", ()))
    return Operation(**{**value, "lines": lines, "shown": shown})


def _shown_lines(lines: Iterable[Iterable[int]]) -> tuple[ShownLine, ...]:
    return tuple(ShownLine(*line) for line in lines)


def _fields(record: Any) -> dict[str, Any]:
    """Give a record's fields that are not empty."""
    values = {name: getattr(record, name) for name in record.__slots__}
    if values.get("shown") is not None:
        values["shown"] = _fields(values["shown"])
    return {name: value for name, value in values.items() if value not in ("", (), None)}


def _pairs(mapping: Mapping[int, int]) -> list[list[int]]:
    return [[key, value] for key, value in sorted(mapping.items())]


def _mapping(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    return dict(pairs)

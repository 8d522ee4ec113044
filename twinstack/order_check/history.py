"""What was asked of the stack and what came back, whole; pure.

An operation is one HTTP request, with the moment it was sent and the moment it ended. Its outcome
is "ok" (done, as answered), "refused" (certainly not done) or "unknown": it may have been done, may
be done later, or never. The words are Jepsen's. Times are seconds since the history began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import TypeAdapter

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
BUSY = "database_busy"  # the answer to an order whose lock was not had in time: try again
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

    fault: str  # "kill", "sigstop", …
    target: str
    began_s: float
    ended_s: float  # it was taken away; a kill ends as it begins
    back_s: float  # the probes of all that it struck succeed again
    within_s: float = 3.0  # full service is promised so long after `over_s`
    store: bool = False  # it struck what keeps data

    @property
    def over_s(self) -> float:
        """Give when a fault is over: of a store when it is back."""
        return max(self.ended_s, self.back_s) if self.store else self.ended_s

    def __str__(self) -> str:
        lasted = f" for {self.ended_s - self.began_s:.2f} s" if self.ended_s > self.began_s else ""
        return f"{self.began_s:.3f} s: {self.fault}:{self.target}{lasted}"


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
    copies_s: float = 0.0  # how old a product may be that a service keeps itself

    @property
    def new_orders(self) -> dict[str, StoredOrder]:
        """Give the orders that were placed during the run, by id."""
        old = self.before.orders
        return {key: order for key, order in self.after.orders.items() if key not in old}


#: A history as one JSON document, to write and to read.
JSON = TypeAdapter(History)

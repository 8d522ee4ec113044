"""Orders in PostgreSQL: one transaction prices, checks and decrements stock, and inserts.

Products are locked in the order of their ids, so orders never deadlock. A session's Idempotency-Key
and a cart's id are unique in the database: of two concurrent requests, the first inserts, and the
second finds that order when it gets the locks. An order of a cart also remembers that the cart is
to be emptied, until the sweep has seen to it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC

from services.common.catalogue import CURRENCY
from services.common.database import Cursor, Database
from services.common.wsgi import ApiError
from services.order_service.carts import Cart
from services.order_service.requests import Lines
from services.order_service.sessions import ClientSession

_LINES = """
(SELECT array_agg(ARRAY[product_id, quantity]) FROM order_items WHERE order_id = orders.id)
"""
_FIND = f"""
SELECT id, session, idempotency_key, request_digest, coalesce(cart, ''), {_LINES} FROM orders
WHERE (session = %(session)s AND idempotency_key = %(key)s) OR cart = %(cart)s
"""
_LOCK = """
SELECT id, price_cents, stock FROM products WHERE id = ANY(%s) ORDER BY id FOR UPDATE
"""
_INSERT = """
WITH placed AS (
    INSERT INTO orders (id, total_cents, session, idempotency_key, request_digest, cart, to_empty)
    VALUES (%(id)s, %(total)s, %(session)s, %(key)s, %(digest)s, %(cart)s, %(cart)s IS NOT NULL)
    ON CONFLICT DO NOTHING
    RETURNING id
), lines AS (
    SELECT * FROM unnest(%(products)s, %(quantities)s, %(prices)s)
        AS line (product_id, quantity, price_cents)
), taken AS (
    UPDATE products SET stock = stock - lines.quantity
    FROM placed, lines WHERE products.id = lines.product_id
), written AS (
    INSERT INTO order_items (order_id, product_id, quantity, unit_price_cents)
    SELECT placed.id, lines.product_id, lines.quantity, lines.price_cents FROM placed, lines
)
SELECT id FROM placed
"""
_ORDER = "SELECT id, created_at, total_cents FROM orders WHERE id = %s AND session = %s"
_ITEMS = """
SELECT product_id, name, quantity, unit_price_cents
FROM order_items JOIN products ON products.id = product_id
WHERE order_id = %s ORDER BY product_id
"""
_TO_EMPTY = f"""
SELECT id, session, cart, {_LINES} FROM orders
WHERE to_empty AND created_at < now() - make_interval(secs => %s) ORDER BY created_at LIMIT %s
"""
_EMPTIED = "UPDATE orders SET to_empty = false WHERE id = ANY(%s::uuid[])"
_FORGET_KEYS = """
UPDATE orders SET idempotency_key = NULL
WHERE idempotency_key IS NOT NULL AND created_at < now() - make_interval(secs => %s)
"""


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """Who orders: a session, with its Idempotency-Key, and the digest of all that it asks for."""

    session: str
    key: str | None
    digest: str


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that stands."""

    order_id: str
    ordered: Cart  # without an id: the items were in the request
    replayed: bool = False  # an earlier request had placed it


class CartOrdered(Exception):
    """Another request has ordered this cart: `ordered` is what was in it then."""

    def __init__(self, ordered: Cart) -> None:
        super().__init__(ordered.id)
        self.ordered = ordered


def replay(database: Database, request: OrderRequest) -> Placed | None:
    """Give the order that an earlier request with this key has placed. Raises: ApiError 422."""
    if request.key is None:
        return None
    return database.read(lambda cursor: _find(cursor, request, ""))


def place(database: Database, request: OrderRequest, cart: Cart) -> Placed:
    """Place an order, once for each key and each cart.

    Raises: ApiError 409 (stock), 422 (unknown product, key used for another request), CartOrdered,
    DatabaseDown, DatabaseBusy, OutcomeUnknown.
    """
    return database.write(lambda cursor: _place(cursor, request, cart))


def show(database: Database, order_id: str, session: str) -> dict[str, object] | None:
    """Give an order of this session with its items, if there is one."""
    try:
        parsed = str(uuid.UUID(order_id))
    except ValueError:
        return None
    return database.read(lambda cursor: _show(cursor, parsed, session))


def show_or_refuse(
    database: Database, order_id: str, session: ClientSession | None
) -> dict[str, object]:
    """Give an order of this session with its items. Raises: ApiError 404."""
    order = show(database, order_id, session.name) if session else None
    if order is None:
        raise ApiError(404, "unknown_order", f"this session has no order {order_id[:64]}")
    return order


def carts_to_empty(
    database: Database, older_than_s: float, limit: int
) -> list[tuple[str, str, Cart]]:
    """List what is still to be taken out of carts: order, session and the cart as ordered."""

    def read(cursor: Cursor) -> list[tuple[str, str, Cart]]:
        cursor.execute(_TO_EMPTY, (older_than_s, limit))
        rows = cursor.fetchall()
        return [(row[0], row[1], Cart(row[2], dict(row[3]))) for row in rows]

    return database.read(read)


def note_emptied(database: Database, order_ids: list[str]) -> None:
    """Note that these orders' carts are empty for good."""
    database.write(lambda cursor: cursor.execute(_EMPTIED, (order_ids,)))


def forget_keys(database: Database, older_than_s: float) -> None:
    """Forget the Idempotency-Keys of older orders."""
    database.write(lambda cursor: cursor.execute(_FORGET_KEYS, (older_than_s,)))


def _find(cursor: Cursor, request: OrderRequest, cart_id: str) -> Placed | None:
    """Find the order of the request's key, or else of the cart.

    Raises: ApiError 422, CartOrdered.
    """
    cursor.execute(_FIND, {"session": request.session, "key": request.key, "cart": cart_id or None})
    rows = cursor.fetchall()
    for order_id, session, key, digest, ordered_id, lines in rows:
        if key is not None and (session, key) == (request.session, request.key):
            if digest != request.digest:
                message = "this Idempotency-Key was used for an order of something else"
                raise ApiError(422, "idempotency_key_reused", message)
            return Placed(order_id, Cart(ordered_id, dict(lines)), replayed=True)
    if rows:
        raise CartOrdered(Cart(cart_id, dict(rows[0][5])))
    return None


def _place(cursor: Cursor, request: OrderRequest, cart: Cart) -> Placed:
    lines = cart.lines
    cursor.execute(_LOCK, (sorted(lines),))
    known = {row[0]: (row[1], row[2]) for row in cursor.fetchall()}
    if request.key is not None or cart.id:
        # Now that we hold the locks: the first of two may have been before us.
        placed = _find(cursor, request, cart.id)
        if placed is not None:
            return placed
    check_lines(lines, {product: stock for product, (_, stock) in known.items()})
    products = sorted(lines)
    order_id = str(uuid.uuid4())
    cursor.execute(
        _INSERT,
        {
            "id": order_id,
            "total": sum(known[product][0] * lines[product] for product in products),
            "session": request.session,
            "key": request.key,
            "digest": request.digest,
            "cart": cart.id or None,
            "products": products,
            "quantities": [lines[product] for product in products],
            "prices": [known[product][0] for product in products],
        },
    )
    if cursor.fetchone() is None:  # Another transaction has just committed this key or this cart.
        placed = _find(cursor, request, cart.id)
        if placed is None:
            raise ApiError(503, "try_again", "the order has just been removed")
        return placed
    return Placed(order_id, cart)


def check_lines(lines: Lines, stock: dict[int, int]) -> None:
    """Refuse what is not in the catalogue or not in stock. Raises: ApiError 422, 409."""
    unknown = [product for product in lines if product not in stock]
    if unknown:
        names = ", ".join(map(str, unknown))
        raise ApiError(422, "unknown_product", f"there is no product {names}", product_ids=unknown)
    short = [
        {"product_id": product, "wanted": quantity, "in_stock": stock[product]}
        for product, quantity in lines.items()
        if quantity > stock[product]
    ]
    if short:
        names = ", ".join(
            f"product {item['product_id']} ({item['wanted']} wanted, {item['in_stock']} in stock)"
            for item in short
        )
        raise ApiError(409, "insufficient_stock", f"not enough of {names}", items=short)


def _show(cursor: Cursor, order_id: str, session: str) -> dict[str, object] | None:
    cursor.execute(_ORDER, (order_id, session))
    order = cursor.fetchone()
    if order is None:
        return None
    cursor.execute(_ITEMS, (order_id,))
    fields = ("product_id", "name", "quantity", "unit_price_cents")
    return {
        "id": str(order[0]),
        "created_at": order[1].astimezone(UTC).isoformat(),  # as the page says
        "total_cents": order[2],
        "currency": CURRENCY,
        "items": [dict(zip(fields, row, strict=True)) for row in cursor.fetchall()],
    }

"""Orders in PostgreSQL: one transaction prices, checks and decrements stock, and inserts.

Products are locked in the order of their ids, so orders never deadlock. The Idempotency-Key is
unique in the database: of two concurrent requests, the first inserts, and the second finds that
order when it gets the locks.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from services.common.catalogue import CURRENCY
from services.common.database import Cursor, Database
from services.common.wsgi import ApiError
from services.order_service.requests import Lines

_BY_KEY = "SELECT id, request_digest FROM orders WHERE idempotency_key = %s"
_LOCK = """
SELECT id, price_cents, stock FROM products WHERE id = ANY(%s) ORDER BY id FOR UPDATE
"""
_INSERT = """
WITH placed AS (
    INSERT INTO orders (id, total_cents, idempotency_key, request_digest)
    VALUES (%(id)s, %(total)s, %(key)s, %(digest)s)
    ON CONFLICT (idempotency_key) DO NOTHING
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
_ORDER = "SELECT id, created_at, total_cents FROM orders WHERE id = %s"
_ITEMS = """
SELECT product_id, name, quantity, unit_price_cents
FROM order_items JOIN products ON products.id = product_id
WHERE order_id = %s ORDER BY product_id
"""


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that stands. `replayed` says that an earlier request had placed it."""

    order_id: str
    replayed: bool


def replay(database: Database, key: str, digest: str) -> Placed | None:
    """Give the order that this key has placed, if any. Raises: ApiError 422."""
    return database.read(lambda cursor: _replay(cursor, key, digest))


def place(database: Database, lines: Lines, key: str | None, digest: str) -> Placed:
    """Place an order, once for each key.

    Raises: ApiError 409 (stock), 422 (unknown product, key used for another request),
    DatabaseDown, OutcomeUnknown.
    """
    return database.write(lambda cursor: _place(cursor, lines, key, digest))


def show(database: Database, order_id: str) -> dict[str, object] | None:
    """Give an order with its items, if there is one."""
    try:
        parsed = str(uuid.UUID(order_id))
    except ValueError:
        return None
    return database.read(lambda cursor: _show(cursor, parsed))


def _replay(cursor: Cursor, key: str, digest: str) -> Placed | None:
    cursor.execute(_BY_KEY, (key,))
    row = cursor.fetchone()
    if row is None:
        return None
    if row[1] != digest:
        message = "this Idempotency-Key was used for an order of something else"
        raise ApiError(422, "idempotency_key_reused", message)
    return Placed(str(row[0]), True)


def _place(cursor: Cursor, lines: Lines, key: str | None, digest: str) -> Placed:
    cursor.execute(_LOCK, (sorted(lines),))
    known = {row[0]: (row[1], row[2]) for row in cursor.fetchall()}
    if key is not None:  # Now that we hold the locks: the first of two may have been before us.
        placed = _replay(cursor, key, digest)
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
            "key": key,
            "digest": digest,
            "products": products,
            "quantities": [lines[product] for product in products],
            "prices": [known[product][0] for product in products],
        },
    )
    if cursor.fetchone() is None:  # Another transaction has just committed one with this key.
        placed = _replay(cursor, key or "", digest)
        if placed is None:
            raise ApiError(503, "try_again", "the order has just been removed")
        return placed
    return Placed(order_id, False)


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


def _show(cursor: Cursor, order_id: str) -> dict[str, object] | None:
    cursor.execute(_ORDER, (order_id,))
    order = cursor.fetchone()
    if order is None:
        return None
    cursor.execute(_ITEMS, (order_id,))
    fields = ("product_id", "name", "quantity", "unit_price_cents")
    return {
        "id": str(order[0]),
        "created_at": order[1].isoformat(),
        "total_cents": order[2],
        "currency": CURRENCY,
        "items": [dict(zip(fields, row, strict=True)) for row in cursor.fetchall()],
    }

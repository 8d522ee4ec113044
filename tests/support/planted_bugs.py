"""Bugs to plant in a copy of the services: the checker of orders must find each of them.

An edit replaces a text that a file holds exactly once. A bug that shows under faults alone names
those that strike while the orders come.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from twinstack.faults.drawing import DrawnFault

_CARTS, _CHECKOUT, _ORDERS = (
    f"order_service/{name}.py" for name in ("carts", "checkout", "orders")
)
_DATABASE = "common/database.py"
_PRODUCTS, _SCHEMA = "product_service/routes.py", "stores/schema.sql"
_CHECK = "    check_lines(lines, {product: stock for product, (_, stock) in known.items()})\n"


@dataclass(frozen=True, slots=True)
class Edit:
    """One text of one file of the services, and what takes its place."""

    file: str
    old: str
    new: str = ""


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """A bug, by its edits."""

    name: str
    edits: tuple[Edit, ...]
    faults: tuple[DrawnFault, ...] = ()


def bug(name: str, *edits: Edit, faults: tuple[DrawnFault, ...] = ()) -> PlantedBug:
    return PlantedBug(name, edits, faults)


def kills(replica: str, times: int) -> tuple[DrawnFault, ...]:
    return tuple(DrawnFault(number, "kill", replica) for number in range(1, times + 1))


_NEVER_SHORT = Edit(_SCHEMA, "integer NOT NULL CHECK (stock >= 0)", "integer NOT NULL")
_NO_SECOND_LOOK = Edit(_ORDERS, "if request.key is not None or cart.id:", "if cart.id:")
_EARLY_LOOK = """    early = _find(cursor, request, "") if request.key else None
    if early is not None:
        return early
    cursor.execute(_LOCK, (sorted(lines),))
"""
_TAKE_FIRST = """    for product in products:
        take = "UPDATE products SET stock = stock - %s WHERE id = %s"
        cursor.execute(take, (lines[product], product))
    cursor.connection.commit()
    __import__("time").sleep(0.02)
    cursor.execute(
        _INSERT,
"""
_OWN_LIST = """        kept = app.config.setdefault("KEPT", [])
        if not kept:
            kept.append(cache.read(LIST_KEY, load_list))
        body, source = kept[0]
"""

#: An order is acknowledged although a crash may forget it.
NOT_DURABLE = bug(
    "acknowledged before it is durable",
    Edit("stores/postgres.sh", "synchronous_commit=on", "synchronous_commit=off"),
    faults=kills("postgres-db", 2),
)

PLANTED = (
    bug(
        "stock is taken twice",
        Edit(_ORDERS, "stock - lines.quantity", "stock - 2 * lines.quantity"),
    ),
    bug(
        "one product's stock is not taken",
        Edit(
            _ORDERS,
            "WHERE products.id = lines.product_id\n",
            "WHERE products.id = lines.product_id AND products.id <> 9\n",
        ),
    ),
    bug(
        "stale price",
        Edit(_ORDERS, "row[0]: (row[1], row[2])", "row[0]: (row[1] - (row[0] == 3), row[2])"),
    ),
    bug(
        "the total ignores quantities",
        Edit(_ORDERS, "known[product][0] * lines[product]", "known[product][0]"),
    ),
    bug("dropped key", Edit(_ORDERS, '"key": request.key,\n', '"key": None,\n')),
    bug("a key serves for any order", Edit(_ORDERS, "if digest != request.digest:", "if False:")),
    bug(
        "a key is everybody's",
        Edit(
            _ORDERS,
            "(session = %(session)s AND idempotency_key = %(key)s)",
            "idempotency_key = %(key)s",
        ),
        Edit(_ORDERS, "(session, key) == (request.session, request.key)", "key == request.key"),
    ),
    bug(
        "two at once are two orders",
        Edit(
            _SCHEMA,
            "UNIQUE INDEX IF NOT EXISTS orders_of_keys",
            "INDEX orders_of_keys",
        ),
        Edit(_ORDERS, "    cursor.execute(_LOCK, (sorted(lines),))\n", _EARLY_LOOK),
        _NO_SECOND_LOOK,
    ),
    bug(
        "a cart is ordered by each of two at once",
        Edit(_SCHEMA, "UNIQUE INDEX IF NOT EXISTS orders_of_carts", "INDEX orders_of_carts"),
        Edit(_ORDERS, "OR cart = %(cart)s", "OR (false AND cart = %(cart)s)"),
    ),
    bug(
        "a line is not stored",
        Edit(
            _ORDERS,
            "lines.quantity, lines.price_cents FROM placed, lines\n",
            "lines.quantity, lines.price_cents FROM placed, lines WHERE lines.quantity < 3\n",
        ),
    ),
    bug(
        "sold out too early",
        Edit(_ORDERS, "if quantity > stock[product]", "if quantity > stock[product] - 2"),
    ),
    bug("oversold", Edit(_ORDERS, "if quantity > stock[product]", "if False"), _NEVER_SHORT),
    bug(
        "lost rollback",
        Edit(_ORDERS, _CHECK),
        Edit(
            _ORDERS,
            "    return Placed(order_id, cart)\n",
            f"{_CHECK}    return Placed(order_id, cart)\n",
        ),
        Edit(_DATABASE, "connection.rollback()", "connection.commit()"),
        _NEVER_SHORT,
    ),
    NOT_DURABLE,
    bug(
        "stock and order in two transactions",
        Edit(_ORDERS, "SET stock = stock - lines.quantity\n", "SET stock = stock - 0\n"),
        Edit(_ORDERS, "    cursor.execute(\n        _INSERT,\n", _TAKE_FIRST),
        faults=kills("order-service", 6),
    ),
    bug(
        "the cart stays full",
        Edit(_CHECKOUT, "self._carts.take_out(session, placed.ordered)", "pass"),
    ),
    bug(
        "a cart is emptied before its order stands",
        Edit(
            _CHECKOUT,
            "                return self._place(request, cart)\n",
            "                self._carts.take_out(request.session, cart)\n"
            '                __import__("time").sleep(0.1)\n'
            "                return self._place(request, cart)\n",
        ),
        faults=kills("order-service", 6),
    ),
    bug(
        "a repeated check-out empties the next cart",
        Edit(_CARTS, "if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end\n"),
    ),
    bug(
        "an addition counts twice",
        Edit(_CARTS, "ARGV[1], before + ARGV[2])", "ARGV[1], before + 2 * ARGV[2])"),
    ),
    bug(
        "sessions share a cart",
        Edit(_CARTS, 'b"cart:" + session.encode()', 'b"cart:" + session.encode()[:1]'),
    ),
    bug("a put adds", Edit(_CARTS, "redis.call('DEL', KEYS[1])\nredis.call(", "redis.call(")),
    bug(
        "the cache is not told",
        Edit(_CHECKOUT, "*keys_of_change(placed.ordered.lines)", '"nothing"'),
    ),
    bug(
        "a replica keeps its own list",
        Edit(_PRODUCTS, "        body, source = cache.read(LIST_KEY, load_list)\n", _OWN_LIST),
        Edit(_PRODUCTS, 'if path == "/products":\n            key = LIST_KEY\n        elif', "if"),
    ),
    bug(
        "an order is read without its last line",
        Edit(
            _ORDERS,
            "WHERE order_id = %s ORDER BY product_id\n",
            "WHERE order_id = %s ORDER BY product_id LIMIT 1\n",
        ),
    ),
    bug(
        "a repeated check-out meets an empty cart",
        Edit(
            _ORDERS,
            'return database.read(lambda cursor: _find(cursor, request, ""))',
            "return None",
        ),
    ),
)


def plant(planted: PlantedBug, source: Path, target: Path) -> None:
    """Copy the services and plant a bug. Raises: AssertionError unless each edit applies once."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    for edit in planted.edits:
        text = (target / edit.file).read_text()
        count = text.count(edit.old)
        assert count == 1, f"{planted.name}: {edit.file} holds {count} of: {edit.old}"
        (target / edit.file).write_text(text.replace(edit.old, edit.new))

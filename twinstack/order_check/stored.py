"""Read what PostgreSQL holds: in order-service's place, as order-service does.

A program in its network, its file system and its environment reads with its own rights, so that
the check needs no way in of its own, in either world.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twinstack.errors import CannotTell
from twinstack.linux.process import run
from twinstack.order_check.history import ShownLine, Stored, StoredOrder
from twinstack.world import LocalWorld

_TIMEOUT_S = 120.0
#: One snapshot of all; `*`: how an order is kept is the service's business.
_PROGRAM = """
import json, sys
import psycopg2
from services.common.settings import from_environment
settings = from_environment(sys.argv[1])
link = psycopg2.connect(
    host=settings.postgres_host, port=settings.postgres_port, dbname=settings.postgres_db,
    user=settings.postgres_user, password=settings.secret("postgres_password"),
    connect_timeout=5, sslmode="disable",
)
link.set_session(isolation_level="REPEATABLE READ", readonly=True)
def rows(query):
    with link.cursor() as cursor:
        cursor.execute(query)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]
json.dump({
    "products": rows("SELECT id, price_cents, stock FROM products"),
    "orders": rows("SELECT * FROM orders"),
    "items": rows("SELECT order_id, product_id, quantity, unit_price_cents FROM order_items"),
}, sys.stdout, default=str)
"""


def read(world: LocalWorld, service: str = "order-service") -> Stored:
    """Read all orders and the catalogue. Raises: CannotTell; StepFailed."""
    pid = world.main_pids().get(world.plan.replicas_of(service)[0].name)
    if pid is None:
        raise CannotTell("what PostgreSQL holds", "cannot be read", f"{service} does not run")
    environment = dict(
        word.split("=", 1)
        for word in Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        if "=" in word
    )
    enter = ["nsenter", "--target", str(pid), "--net", "--mount", "--"]
    command = [*enter, "/usr/bin/python3", "-c", _PROGRAM, service]
    done = run(command, environment=environment, timeout_s=_TIMEOUT_S)
    return parse(json.loads(done.stdout))


def parse(document: Any) -> Stored:
    """Read the program's answer; pure."""
    lines: dict[str, list[ShownLine]] = {}
    for item in document["items"]:
        line = ShownLine(item["product_id"], item["quantity"], item["unit_price_cents"])
        lines.setdefault(str(item["order_id"]), []).append(line)
    orders = {
        str(order["id"]): StoredOrder(
            str(order["id"]),
            str(order.get("idempotency_key") or ""),
            int(order["total_cents"]),
            tuple(sorted(lines.get(str(order["id"]), ()))),
        )
        for order in document["orders"]
    }
    products = document["products"]
    return Stored(
        {product["id"]: product["price_cents"] for product in products},
        {product["id"]: product["stock"] for product in products},
        orders,
    )

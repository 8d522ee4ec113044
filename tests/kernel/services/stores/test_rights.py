"""Each service may do in PostgreSQL what its code does, and no more."""

from __future__ import annotations

import psycopg2
import pytest
from psycopg2 import errors

from tests.support.real_stores import PASSWORD, Stores, connect

pytestmark = pytest.mark.kernel
ORDER = "INSERT INTO orders (id, total_cents, request_digest) VALUES (gen_random_uuid(), 1, '')"
MAY = {
    "product-service": ["SELECT * FROM products"],
    "order-service": [
        "SELECT * FROM products WHERE id = 3 FOR UPDATE",
        "UPDATE products SET stock = stock - 1 WHERE id = 3",
        ORDER,
        "SELECT * FROM orders JOIN order_items ON order_id = id",
    ],
}
MAY_NOT = {
    "product-service": [
        "SELECT * FROM orders",
        "UPDATE products SET stock = 0",
        "DELETE FROM products",
        ORDER,
    ],
    "order-service": [
        "UPDATE products SET price_cents = 1",
        "UPDATE orders SET total_cents = 1",
        "UPDATE order_items SET quantity = 1",
        "DELETE FROM orders",
        "DELETE FROM order_items",
        "INSERT INTO products VALUES (99, 'x', 'x', 'x', 'x', 1, 1)",
        "TRUNCATE orders, order_items",
        "DROP TABLE orders",
    ],
}
NOBODY_MAY = [
    "CREATE TABLE mine (id int)",
    "CREATE TEMPORARY TABLE mine (id int)",
    "CREATE ROLE mine",
    "SET ROLE shop",
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT rolpassword FROM pg_authid",
]


def run(stores: Stores, service: str, statement: str) -> None:
    connection = connect(stores.postgres.port, service, service + PASSWORD)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.rollback()
    finally:
        connection.close()


def cases(statements: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(service, text) for service, texts in statements.items() for text in texts]


@pytest.mark.parametrize(("service", "statement"), cases(MAY))
def test_a_service_may_do_its_work(stores: Stores, service: str, statement: str) -> None:
    run(stores, service, statement)


@pytest.mark.parametrize(
    ("service", "statement"),
    [*cases(MAY_NOT), *((service, text) for service in MAY for text in NOBODY_MAY)],
)
def test_a_service_may_do_no_more(stores: Stores, service: str, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        run(stores, service, statement)


def test_no_services_password_is_anothers(stores: Stores) -> None:
    with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
        connect(stores.postgres.port, "order-service", "product-service" + PASSWORD).close()

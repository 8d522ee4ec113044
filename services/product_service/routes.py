"""The product service's HTTP interface (:5000): the list, one product, health."""

from __future__ import annotations

from flask import Flask, Response

from services.common.catalogue import CURRENCY, LIST_KEY, PRODUCT_ID_MAX, product_key
from services.common.database import Cursor
from services.common.service import Service, make_app_with_health
from services.common.wsgi import JSON, Answered, ApiError, Shortcut, dump
from services.product_service.cache import Cache

_COLUMNS = "id, sku, name, category, price_cents, stock"
_LIST = f"SELECT {_COLUMNS} FROM products ORDER BY id"
_ONE = f"SELECT {_COLUMNS}, description FROM products WHERE id = %s"


def create(service: Service, cache: Cache) -> Flask:
    """Make the product service upon a database and a cache."""
    app = make_app_with_health(service)

    def load_list() -> bytes:
        products = service.database.read(lambda cursor: _rows(cursor, _LIST))
        return dump({"products": products, "count": len(products), "currency": CURRENCY})

    @app.get("/products")
    def products() -> Response:
        body, source = cache.read(LIST_KEY, load_list)
        cache.reads.add(source)
        assert body is not None
        return Response(body, 200, _headers(source))

    @app.get("/products/<text>")
    def product(text: str) -> Response:
        product_id = _product_id(text)
        if product_id is None:
            raise ApiError(400, "bad_product_id", "a product's id is a whole number from 1 up")

        def load() -> bytes | None:
            rows = service.database.read(lambda cursor: _rows(cursor, _ONE, product_id))
            return dump({**rows[0], "currency": CURRENCY}) if rows else None

        body, source = cache.read(product_key(product_id), load)
        cache.reads.add(source)
        if body is None:
            raise ApiError(404, "unknown_product", f"there is no product {product_id}")
        return Response(body, 200, _headers(source))

    return app


def shortcut(cache: Cache) -> Shortcut:
    """Answer what is in the cache without Flask, which took half of such a request's CPU time.

    Anything else, a miss or Redis down too, is left to the routes above.
    """

    def answer(path: str) -> Answered | None:
        if path == "/products":
            key = LIST_KEY
        elif path.startswith("/products/") and (product_id := _product_id(path[10:])):
            key = product_key(product_id)
        else:
            return None
        held = cache.held(key)
        if held is None:
            return None
        body, source = held
        cache.reads.add(source)
        return "200 OK", [*_headers(source), ("Content-Length", str(len(body)))], body

    return answer


def _headers(source: str) -> list[tuple[str, str]]:
    return [("Content-Type", JSON), ("X-Cache", source)]


def _product_id(text: str) -> int | None:
    if text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= PRODUCT_ID_MAX:
        return int(text)
    return None


def _rows(cursor: Cursor, query: str, *values: object) -> list[dict[str, object]]:
    cursor.execute(query, values)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

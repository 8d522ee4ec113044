"""The product service's HTTP interface (:5000): the list, one product, health."""

from __future__ import annotations

from flask import Flask, Response

from services.common.catalogue import CURRENCY, LIST_KEY, PRODUCT_ID_MAX, product_key
from services.common.database import Cursor
from services.common.service import Service, make_app_with_health
from services.common.wsgi import JSON, ApiError, dump
from services.product_service.cache import Cache

_COLUMNS = "id, sku, name, category, price_cents, stock"
_LIST = f"SELECT {_COLUMNS} FROM products ORDER BY id"
_ONE = f"SELECT {_COLUMNS}, description FROM products WHERE id = %s"


def create(service: Service) -> Flask:
    """Make the product service upon a database and a Redis."""
    app = make_app_with_health(service)
    cache = Cache(service.store, service.settings.cache_ttl_s)

    def load_list() -> bytes:
        products = service.database.read(lambda cursor: _rows(cursor, _LIST))
        return dump({"products": products, "count": len(products), "currency": CURRENCY})

    def cached(body: bytes, source: str) -> Response:
        return Response(body, 200, [("Content-Type", JSON), ("X-Cache", source)])

    @app.get("/products")
    def products() -> Response:
        body, source = cache.read(LIST_KEY, load_list)
        assert body is not None
        return cached(body, source)

    @app.get("/products/<text>")
    def product(text: str) -> Response:
        product_id = _product_id(text)

        def load() -> bytes | None:
            rows = service.database.read(lambda cursor: _rows(cursor, _ONE, product_id))
            return dump({**rows[0], "currency": CURRENCY}) if rows else None

        body, source = cache.read(product_key(product_id), load)
        if body is None:
            raise ApiError(404, "unknown_product", f"there is no product {product_id}")
        return cached(body, source)

    return app


def _product_id(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= PRODUCT_ID_MAX:
        return int(text)
    raise ApiError(400, "bad_product_id", "a product's id is a whole number from 1 up")


def _rows(cursor: Cursor, query: str, *values: object) -> list[dict[str, object]]:
    cursor.execute(query, values)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

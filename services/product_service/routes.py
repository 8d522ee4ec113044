"""The product service's HTTP interface (:5000): the list, one product, health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, Response, request

from services.api.operations import CURSOR, LIMIT
from services.api.schemas import whole_in
from services.api.table import BY_NAME
from services.api.views import query_number, serves
from services.common.catalogue import CURRENCY, LIST_KEY, PRODUCT_ID_MAX, product_key
from services.common.database import Cursor
from services.common.service import Service, make_app_with_health
from services.common.wsgi import Answered, ApiError, Shortcut, dump
from services.product_service.cache import Cache
from services.product_service.representations import Representation, Representations, page

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_COLUMNS = "id, sku, name, category, price_cents, stock"
_LIST = f"SELECT {_COLUMNS} FROM products ORDER BY id"
_ONE = f"SELECT {_COLUMNS}, description FROM products WHERE id = %s"
_PUBLIC = BY_NAME["list_products"].path


def create(service: Service, cache: Cache, sent: Representations) -> Flask:
    """Make the product service upon a database and a cache."""
    app = make_app_with_health(service)

    def load_list() -> bytes:
        products = service.database.read(lambda cursor: _rows(cursor, _LIST))
        return dump({"products": products, "count": len(products), "currency": CURRENCY})

    @serves(app, "list_products")
    def products() -> Response:
        limit, cursor = query_number(LIMIT), query_number(CURSOR)
        body, source = cache.read(LIST_KEY, load_list)
        cache.reads.add(source)
        assert body is not None
        representation = sent.of(LIST_KEY, body)
        if limit is not None or cursor is not None:
            representation = page(representation, _PUBLIC, limit, cursor)
        return _respond(representation, source)

    @serves(app, "show_product")
    def product(product_id: str) -> Response:
        number = _product_id(product_id) or _product_id(str(whole_in(product_id)))
        if number is None:
            raise ApiError(400, "bad_product_id", "a product's id is a whole number from 1 up")

        def load() -> bytes | None:
            rows = service.database.read(lambda cursor: _rows(cursor, _ONE, number))
            return dump({**rows[0], "currency": CURRENCY}) if rows else None

        key = product_key(number)
        body, source = cache.read(key, load)
        cache.reads.add(source)
        if body is None:
            raise ApiError(404, "unknown_product", f"there is no product {number}")
        return _respond(sent.of(key, body), source)

    return app


def shortcut(cache: Cache, sent: Representations) -> Shortcut:
    """Answer what is in the cache without Flask, which took half of such a request's CPU time.

    Anything else, a miss, a query or Redis down too, is left to the routes above.
    """

    def answer(environ: WSGIEnvironment) -> Answered | None:
        path = environ["PATH_INFO"]
        if environ.get("QUERY_STRING"):
            return None
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
        return sent.of(key, body).answered(source, environ.get("HTTP_IF_NONE_MATCH"))

    return answer


def _respond(representation: Representation, source: str) -> Response:
    status, headers, body = representation.answered(source, request.headers.get("If-None-Match"))
    return Response(body, status, headers)


def _product_id(text: str) -> int | None:
    if text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= PRODUCT_ID_MAX:
        return int(text)
    return None


def _rows(cursor: Cursor, query: str, *values: object) -> list[dict[str, object]]:
    cursor.execute(query, values)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

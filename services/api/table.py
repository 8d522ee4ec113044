"""The table of the public interface: which request goes to which service, and what comes of it.

The gateway routes by it, the services register their views by it and read parameters as it says,
and /openapi.json is made from it (`document`). HEAD is answered wherever GET is.
"""

from __future__ import annotations

from services.api.operations import (
    CSS,
    CURSOR,
    FORM,
    GATEWAY,
    HTML,
    IF_NONE_MATCH,
    JSON,
    KEY,
    LIMIT,
    ORDER,
    ORDERS,
    PAGE,
    PRODUCT,
    PRODUCTS,
    ApiOperation,
    ApiReply,
    Body,
)
from services.api.schemas import named

_READ_STORES = ((503, "database_unavailable"),)
_CARTS = ((503, "redis_unavailable"), (503, "database_unavailable"))
_JSON_BODY = ((400, "bad_request"), (400, "empty_body"), (400, "not_json"), (400, "not_an_object"))
_UNSAFE = ((403, "cross_site"),)
_FORM = ((400, "bad_request"), (403, "form_expired"), *_UNSAFE)
_LINES = ((409, "insufficient_stock"), (422, "unknown_product"))
_GROWS = ((503, "redis_full"), (409, "cart_full"))
_SESSION = ((400, "bad_request"),)
_TAGGED = ("ETag", "X-Cache")
_UNCHANGED = ApiReply("as the client has it", headers=_TAGGED)
_CART = ApiReply("the cart", JSON, named("Cart"), ("X-Session-ID",))
_ORDERING = (
    *_LINES,
    (409, "cart_empty"),
    (409, "database_busy"),
    (422, "idempotency_key_reused"),
    (503, "outcome_unknown"),
    (503, "try_again"),
)


def _page(about: str) -> ApiReply:
    return ApiReply(about, HTML)


OPERATIONS = (
    ApiOperation(
        "list_products",
        "GET",
        "/api/products",
        PRODUCTS,
        "/products",
        "The catalogue, whole or by pages",
        {200: ApiReply("products", JSON, named("ProductList"), _TAGGED), 304: _UNCHANGED},
        ((400, "bad_request"), *_READ_STORES),
        (LIMIT, CURSOR, IF_NONE_MATCH),
    ),
    ApiOperation(
        "show_product",
        "GET",
        "/api/products/{product_id}",
        PRODUCTS,
        "/products/{product_id}",
        "One product, with its description",
        {200: ApiReply("the product", JSON, named("Product"), _TAGGED), 304: _UNCHANGED},
        ((400, "bad_product_id"), (404, "unknown_product"), *_READ_STORES),
        (PRODUCT, IF_NONE_MATCH),
    ),
    ApiOperation(
        "show_cart",
        "GET",
        "/api/cart",
        ORDERS,
        "/cart",
        "The session's cart; a client without a session is given one",
        {200: _CART},
        (*_SESSION, *_CARTS),
        in_session=True,
    ),
    ApiOperation(
        "add_to_cart",
        "POST",
        "/api/cart",
        ORDERS,
        "/cart",
        "Put more of a product into the cart",
        {200: _CART},
        (*_JSON_BODY, *_UNSAFE, *_LINES, *_GROWS, *_CARTS),
        body=Body(JSON, named("Line")),
        in_session=True,
    ),
    ApiOperation(
        "replace_cart",
        "PUT",
        "/api/cart",
        ORDERS,
        "/cart",
        "Set what is in the cart",
        {200: _CART},
        (*_JSON_BODY, *_UNSAFE, *_LINES, (422, "too_many_items"), *_GROWS, *_CARTS),
        body=Body(JSON, named("CartContent")),
        in_session=True,
    ),
    ApiOperation(
        "empty_cart",
        "DELETE",
        "/api/cart",
        ORDERS,
        "/cart",
        "Take everything out of the cart",
        {204: ApiReply("the cart is empty")},
        (*_SESSION, *_UNSAFE, *_CARTS),
        in_session=True,
    ),
    ApiOperation(
        "place_order",
        "POST",
        "/api/orders",
        ORDERS,
        "/orders",
        "Order these items, or what is in the cart",
        {
            201: ApiReply("the order", JSON, named("Order"), ("Location", "X-Session-ID")),
            200: ApiReply(
                "the order that the same key has placed before",
                JSON,
                named("Order"),
                ("Location", "X-Session-ID"),
            ),
        },
        (
            *(*_JSON_BODY, *_UNSAFE, *_ORDERING, *_CARTS),
            (400, "session_required"),
            (422, "too_many_items"),
        ),
        (KEY,),
        Body(JSON, named("OrderRequest")),
        in_session=True,
    ),
    ApiOperation(
        "show_order",
        "GET",
        "/api/orders/{order_id}",
        ORDERS,
        "/orders/{order_id}",
        "An order, in the session that placed it",
        {200: ApiReply("the order", JSON, named("Order"))},
        (*_SESSION, (404, "unknown_order"), *_READ_STORES),
        (ORDER,),
        in_session=True,
    ),
    ApiOperation(
        "health",
        "GET",
        "/health",
        GATEWAY,
        "",
        "The gateway's own health, without asking a service",
        {
            200: ApiReply("ok, or degraded", JSON, named("Health")),
            503: ApiReply("a service has no instance", JSON, named("Health")),
        },
    ),
    ApiOperation(
        "openapi",
        "GET",
        "/openapi.json",
        GATEWAY,
        "",
        "This document",
        {200: ApiReply("OpenAPI 3.1", JSON, named("Document"))},
    ),
    ApiOperation(
        "docs_page",
        "GET",
        "/docs",
        ORDERS,
        "/docs",
        "This document for people",
        {200: _page("a page")},
    ),
    ApiOperation(
        "shop_products",
        "GET",
        "/",
        ORDERS,
        "/shop",
        "The shop: products, by pages",
        {200: _page("a page with a form for each product")},
        ((400, "bad_request"), *_READ_STORES),
        (PAGE,),
    ),
    ApiOperation(
        "shop_style",
        "GET",
        "/shop/style.css",
        ORDERS,
        "/shop/style.css",
        "The pages' style",
        {200: ApiReply("a style sheet", CSS)},
    ),
    ApiOperation(
        "shop_cart",
        "GET",
        "/shop/cart",
        ORDERS,
        "/shop/cart",
        "The cart, with the form that orders it",
        {200: _page("a page")},
        (*_SESSION, *_CARTS),
        in_session=True,
    ),
    ApiOperation(
        "shop_add",
        "POST",
        "/shop/cart",
        ORDERS,
        "/shop/cart",
        "Put more of a product into the cart",
        {303: ApiReply("to the cart", headers=("Location",))},
        (*_FORM, *_LINES, *_GROWS, *_CARTS),
        body=Body(FORM, named("AddForm")),
        in_session=True,
    ),
    ApiOperation(
        "shop_remove",
        "POST",
        "/shop/cart/remove",
        ORDERS,
        "/shop/cart/remove",
        "Take a product out of the cart",
        {303: ApiReply("to the cart", headers=("Location",))},
        (*_FORM, *_CARTS),
        body=Body(FORM, named("RemoveForm")),
        in_session=True,
    ),
    ApiOperation(
        "shop_order",
        "POST",
        "/shop/orders",
        ORDERS,
        "/shop/orders",
        "Order what the cart's page showed, once",
        {303: ApiReply("to the order", headers=("Location",))},
        (*_FORM, *_ORDERING, (409, "cart_changed"), *_CARTS),
        body=Body(FORM, named("OrderForm")),
        in_session=True,
    ),
    ApiOperation(
        "shop_placed",
        "GET",
        "/shop/orders/{order_id}",
        ORDERS,
        "/shop/orders/{order_id}",
        "An order, in the session that placed it",
        {200: _page("a page")},
        (*_SESSION, (404, "unknown_order"), *_READ_STORES),
        (ORDER,),
        in_session=True,
    ),
)
BY_NAME = {operation.name: operation for operation in OPERATIONS}

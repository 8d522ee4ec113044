"""The order service's HTTP interface (:5000): cart, orders, health."""

from __future__ import annotations

from flask import Flask, Response, request

from services.common.catalogue import CURRENCY, keys_of_change
from services.common.failures import RedisDown
from services.common.service import Service, make_app_with_health
from services.common.wsgi import ApiError, answer, json_object, request_id
from services.order_service import orders, requests
from services.order_service.carts import Carts, new_session
from services.order_service.orders import check_lines
from services.order_service.product_client import Products
from services.order_service.requests import Lines, parse_items, parse_line, parse_order

COOKIE = "session"
SESSION = "X-Session-ID"


def create(service: Service, products: Products) -> Flask:
    """Create the application with its database, Redis and product client."""
    app = make_app_with_health(service)
    ttl_s = service.settings.session_ttl_s
    carts = Carts(service.store, ttl_s)
    database = service.database

    @app.after_request
    def keep_private(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        return response

    def session_of_request() -> str:
        return requests.parse_session(request.headers.get(SESSION), request.cookies.get(COOKIE))

    def cart_answer(session: str, lines: Lines) -> Response:
        catalogue = products.catalogue(request_id()) if lines else {}
        items = [
            {
                "product_id": product_id,
                "name": catalogue[product_id].name,
                "quantity": quantity,
                "unit_price_cents": catalogue[product_id].price_cents,
            }
            for product_id, quantity in lines.items()
            if product_id in catalogue
        ]
        total = sum(catalogue[key].price_cents * lines[key] for key in lines if key in catalogue)
        cart = {"session": session or None, "items": items, "total_cents": total}
        response = answer(cart | {"currency": CURRENCY})
        if session:
            response.headers[SESSION] = session
            response.set_cookie(COOKIE, session, max_age=ttl_s, httponly=True, samesite="Lax")
        return response

    def check_against_catalogue(lines: Lines) -> None:
        catalogue = products.catalogue(request_id())
        check_lines(lines, {key: product.stock for key, product in catalogue.items()})

    @app.get("/cart")
    def show_cart() -> Response:
        session = session_of_request()
        return cart_answer(session, carts.show(session) if session else {})

    @app.post("/cart")
    def add_to_cart() -> Response:
        product_id, quantity = parse_line(json_object())
        session = session_of_request()
        check_against_catalogue({product_id: quantity})
        session = session or new_session()
        carts.add(session, product_id, quantity)
        return cart_answer(session, carts.show(session))

    @app.put("/cart")
    def replace_cart() -> Response:
        body = json_object()
        lines = parse_items(body)
        if set(body) != {"items"}:
            raise ApiError(400, "bad_request", "the only field of a cart is items")
        session = session_of_request()
        check_against_catalogue(lines)
        session = session or new_session()
        carts.replace(session, lines)
        return cart_answer(session, lines)

    @app.delete("/cart")
    def empty_cart() -> Response:
        session = session_of_request()
        if session:
            carts.replace(session, {})
        return Response(status=204)

    @app.post("/orders")
    def place_order() -> Response:
        key = requests.parse_idempotency_key(request.headers.get("Idempotency-Key"))
        asked = parse_order(json_object())
        session = session_of_request()
        digest = requests.digest(asked, session)
        lines, placed = asked, None
        if lines is None:
            placed = orders.replay(database, key, digest) if key else None
            lines = {} if placed or not session else carts.show(session)
            if placed is None and not lines:
                raise ApiError(409, "cart_empty", "there is nothing in the session's cart")
        if placed is None:
            placed = orders.place(database, lines, key, digest)
        if not placed.replayed:
            after_order(lines, session if asked is None else "")
        response = answer(orders.show(database, placed.order_id), 200 if placed.replayed else 201)
        response.headers["Location"] = f"/api/orders/{placed.order_id}"
        if placed.replayed:
            response.headers["Idempotency-Replayed"] = "true"
        return response

    def after_order(lines: Lines, session: str) -> None:
        try:
            service.store.command(b"DEL", *keys_of_change(lines))
            if session:
                carts.take_out(session, lines)
        except RedisDown:  # The order stands; cached entries expire.
            message = "cache not invalidated after an order"
            service.log.event("warning", message, request_id=request_id())

    @app.get("/orders/<order_id>")
    def show_order(order_id: str) -> Response:
        order = orders.show(database, order_id)
        if order is None:
            raise ApiError(404, "unknown_order", f"there is no order {order_id[:64]}")
        return answer(order)

    return app

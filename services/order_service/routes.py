"""The order service's HTTP interface (:5000): cart, orders, health."""

from __future__ import annotations

from flask import Flask, Response, request

from services.common.catalogue import CURRENCY
from services.common.service import Service, make_app_with_health
from services.common.wsgi import ApiError, answer, json_object, request_id
from services.order_service import orders, requests, sessions
from services.order_service.carts import Carts
from services.order_service.checkout import Checkout
from services.order_service.orders import OrderRequest, check_lines
from services.order_service.product_client import Products
from services.order_service.requests import Lines, parse_items, parse_line, parse_order
from services.order_service.sessions import ClientSession, Sessions


def create(service: Service, products: Products, carts: Carts, checkout: Checkout) -> Flask:
    """Create the application with its database, Redis and product client.

    Raises: SettingError without the secret that signs session ids.
    """
    app = make_app_with_health(service)
    database = service.database
    known = Sessions(service.settings.secret(sessions.SECRET))
    cookie_tail = f"; Max-Age={service.settings.session_ttl_s}; HttpOnly; Path=/; SameSite=Lax"

    @app.after_request
    def keep_private(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        return response

    def session_of_request() -> ClientSession | None:
        return known.find(
            request.headers.get(sessions.HEADER), request.cookies.get(sessions.COOKIE)
        )

    def in_session(response: Response, session: ClientSession) -> Response:
        response.headers[sessions.HEADER] = session.id
        response.headers["Set-Cookie"] = f"{sessions.COOKIE}={session.id}{cookie_tail}"
        return response

    def cart_answer(session: ClientSession, lines: Lines) -> Response:
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
        cart = {"session": session.id, "items": items, "total_cents": total}
        return in_session(answer(cart | {"currency": CURRENCY}), session)

    def check_against_catalogue(lines: Lines) -> None:
        catalogue = products.catalogue(request_id())
        check_lines(lines, {key: product.stock for key, product in catalogue.items()})

    @app.get("/cart")
    def show_cart() -> Response:
        session = session_of_request()
        lines = carts.show(session.name).lines if session else {}
        return cart_answer(session or known.make(), lines)

    @app.post("/cart")
    def add_to_cart() -> Response:
        product_id, quantity = parse_line(json_object())
        session = session_of_request() or known.make()
        check_against_catalogue({product_id: quantity})
        carts.add(session.name, product_id, quantity)
        return cart_answer(session, carts.show(session.name).lines)

    @app.put("/cart")
    def replace_cart() -> Response:
        body = json_object()
        lines = parse_items(body)
        if set(body) != {"items"}:
            raise ApiError(400, "bad_request", "the only field of a cart is items")
        session = session_of_request() or known.make()
        check_against_catalogue(lines)
        carts.replace(session.name, lines)
        return cart_answer(session, lines)

    @app.delete("/cart")
    def empty_cart() -> Response:
        session = session_of_request()
        if session:
            carts.replace(session.name, {})
        return Response(status=204)

    @app.post("/orders")
    def place_order() -> Response:
        key = requests.parse_idempotency_key(request.headers.get("Idempotency-Key"))
        lines = parse_order(json_object())
        session = session_of_request()
        if session is None:
            if key is not None:
                message = "an Idempotency-Key is its session's; GET /api/cart gives a session"
                raise ApiError(400, "session_required", message)
            session = known.make()
        digest = requests.digest(lines, session.name)
        placed = checkout.order(OrderRequest(session.name, key, digest), lines)
        order = orders.show(database, placed.order_id, session.name)
        response = in_session(answer(order, 200 if placed.replayed else 201), session)
        response.headers["Location"] = f"/api/orders/{placed.order_id}"
        if placed.replayed:
            response.headers["Idempotency-Replayed"] = "true"
        return response

    @app.get("/orders/<order_id>")
    def show_order(order_id: str) -> Response:
        session = session_of_request()
        order = orders.show(database, order_id, session.name) if session else None
        if order is None:
            message = f"this session has no order {order_id[:64]}"
            raise ApiError(404, "unknown_order", message)
        return answer(order)

    return app

"""The order service's HTTP interface (:5000): cart, orders, the shop's pages, health."""

from __future__ import annotations

from flask import Flask, Response, request

from services.api.operations import KEY
from services.api.table import BY_NAME
from services.api.views import serves
from services.common.catalogue import CURRENCY
from services.common.service import Service, make_app_with_health
from services.common.wsgi import ApiError, answer, json_object, request_id
from services.order_service import orders, requests, sessions, shop
from services.order_service.carts import Carts
from services.order_service.checkout import Checkout
from services.order_service.orders import OrderRequest, check_lines
from services.order_service.product_client import Products, priced
from services.order_service.requests import Lines, parse_items, parse_line, parse_order
from services.order_service.sessions import ClientSession, Sessions
from services.order_service.visits import Visits

_ORDER_PATH = BY_NAME["show_order"].path


def create(service: Service, products: Products, carts: Carts, checkout: Checkout) -> Flask:
    """Create the application with its database, Redis and product client.

    Raises: SettingError without the secret that signs session ids.
    """
    app = make_app_with_health(service)
    database = service.database
    known = Sessions(service.settings.secret(sessions.SECRET))
    visits = Visits(known, service.settings.session_ttl_s)

    @app.after_request
    def keep_private(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        return response

    def cart_answer(session: ClientSession, lines: Lines) -> Response:
        items, total = priced(lines, products.catalogue(request_id()) if lines else {})
        cart = {"session": session.id, "items": items, "total_cents": total}
        return visits.keep(answer(cart | {"currency": CURRENCY}), session)

    def check_against_catalogue(lines: Lines) -> None:
        catalogue = products.catalogue(request_id())
        check_lines(lines, {key: product.stock for key, product in catalogue.items()})

    @serves(app, "show_cart")
    def show_cart() -> Response:
        session = visits.find()
        lines = carts.show(session.name).lines if session else {}
        return cart_answer(session or known.make(), lines)

    @serves(app, "add_to_cart")
    def add_to_cart() -> Response:
        product_id, quantity = parse_line(json_object())
        session = visits.find_or_make()
        check_against_catalogue({product_id: quantity})
        carts.add(session.name, product_id, quantity)
        return cart_answer(session, carts.show(session.name).lines)

    @serves(app, "replace_cart")
    def replace_cart() -> Response:
        body = json_object()
        lines = parse_items(body)
        if set(body) != {"items"}:
            raise ApiError(400, "bad_request", "the only field of a cart is items")
        session = visits.find_or_make()
        check_against_catalogue(lines)
        carts.replace(session.name, lines)
        return cart_answer(session, lines)

    @serves(app, "empty_cart")
    def empty_cart() -> Response:
        session = visits.find()
        if session:
            carts.replace(session.name, {})
        return Response(status=204)

    @serves(app, "place_order")
    def place_order() -> Response:
        key = requests.parse_idempotency_key(request.headers.get(KEY.name))
        lines = parse_order(json_object())
        session = visits.find()
        if session is None:
            if key is not None:
                message = "an Idempotency-Key is its session's; GET /api/cart gives a session"
                raise ApiError(400, "session_required", message)
            session = known.make()
        digest = requests.digest(lines, session.name)
        placed = checkout.order(OrderRequest(session.name, key, digest), lines)
        order = orders.show(database, placed.order_id, session.name)
        response = visits.keep(answer(order, 200 if placed.replayed else 201), session)
        response.headers["Location"] = _ORDER_PATH.format(order_id=placed.order_id)
        if placed.replayed:
            response.headers["Idempotency-Replayed"] = "true"
        return response

    @serves(app, "show_order")
    def show_order(order_id: str) -> Response:
        return answer(orders.show_or_refuse(database, order_id, visits.find()))

    app.register_blueprint(shop.create(service, products, carts, checkout, visits))
    return app

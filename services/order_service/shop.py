"""The shop's pages and the API's: made here, for browsers without scripts.

A form has its session's token. The one that orders has an Idempotency-Key made from the cart and
what is in it: two clicks, or two tabs that show the same cart, are one order; a tab that shows an
earlier cart orders nothing. Problems are pages too, and say the same.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from flask import Blueprint, Response, make_response, render_template, request

from services.api.document import document
from services.api.operations import PAGE
from services.api.schemas import QUANTITY_MAX
from services.api.table import BY_NAME
from services.api.views import query_number, serves
from services.common.catalogue import CURRENCY
from services.common.problems import KINDS, MEDIA_TYPE
from services.common.service import Service
from services.common.wsgi import request_id
from services.order_service import orders, requests
from services.order_service.carts import Cart, Carts
from services.order_service.checkout import Checkout
from services.order_service.orders import OrderRequest, check_lines
from services.order_service.product_client import Products, priced
from services.order_service.visits import Visits

PER_PAGE = 9
_SAFETY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:;"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # no-referrer would make the forms' Origin null
}
_SEE_OTHER = 303


def create(
    service: Service, products: Products, carts: Carts, checkout: Checkout, visits: Visits
) -> Blueprint:
    """Make the pages upon the order service's own parts."""
    shop = Blueprint("shop", __name__, template_folder="templates")
    style = Path(__file__).with_name("style.css").read_bytes()
    described = document()

    @shop.context_processor
    def common() -> dict[str, object]:
        return {"replica": service.settings.replica, "request_id": request_id(), "money": money}

    @shop.after_request
    def make_safe(response: Response) -> Response:
        if response.mimetype == MEDIA_TYPE:
            problem = json.loads(response.get_data())
            response.set_data(render_template("problem.html", problem=problem))
            response.mimetype = "text/html"
        response.headers.update(_SAFETY)
        return response

    @serves(shop, "shop_products")
    def show_products() -> Response:
        session = visits.find_or_make()
        page = query_number(PAGE) or 1
        catalogue, source = products.catalogue_and_source(request_id())
        shown = list(catalogue.items())[(page - 1) * PER_PAGE : page * PER_PAGE]
        html = render_template(
            "products.html",
            products=shown,
            page=page,
            pages=max(1, -(-len(catalogue) // PER_PAGE)),
            source=source,
            token=visits.token(session),
            quantity_max=QUANTITY_MAX,
        )
        return visits.keep(make_response(html), session)

    @serves(shop, "shop_cart")
    def show_cart() -> Response:
        session = visits.find_or_make()
        cart = carts.show(session.name)
        catalogue, source = products.catalogue_and_source(request_id())
        items, total = priced(cart.lines, catalogue)
        html = render_template(
            "cart.html",
            items=items,
            total=total,
            source=source,
            token=visits.token(session),
            key=key_of(cart),
        )
        return visits.keep(make_response(html), session)

    @serves(shop, "shop_add")
    def add() -> Response:
        session = visits.of_form()
        numbers = requests.parse_form(request.form, "product_id", "quantity")
        product_id, quantity = requests.parse_line(numbers)
        stock = {key: each.stock for key, each in products.catalogue(request_id()).items()}
        check_lines({product_id: quantity}, stock)
        carts.add(session.name, product_id, quantity)
        return _to("shop_cart")

    @serves(shop, "shop_remove")
    def remove() -> Response:
        session = visits.of_form()
        product_id = requests.parse_product_id(requests.parse_form(request.form, "product_id"))
        carts.remove(session.name, product_id)
        return _to("shop_cart")

    @serves(shop, "shop_order")
    def order() -> Response:
        session = visits.of_form()
        key = requests.parse_idempotency_key(request.form.get("idempotency_key", ""))
        asked = OrderRequest(session.name, key, requests.digest(None, session.name))
        placed = checkout.order(asked, None, lambda cart: key_of(cart) == key)
        return _to("shop_placed", order_id=placed.order_id)

    @serves(shop, "shop_placed")
    def show_placed(order_id: str) -> str:
        order = orders.show_or_refuse(service.database, order_id, visits.find())
        return render_template("order.html", order=order)

    @serves(shop, "docs_page")
    def show_docs() -> str:
        return render_template("docs.html", api=described, kinds=KINDS)

    @serves(shop, "shop_style")
    def show_style() -> Response:
        return Response(style, content_type="text/css; charset=utf-8")

    return shop


def key_of(cart: Cart) -> str:
    """Give the Idempotency-Key that orders this cart as it is; pure."""
    content = json.dumps([cart.id, sorted(cart.lines.items())])
    return f"shop-{hashlib.sha256(content.encode()).hexdigest()}"


def money(cents: int) -> str:
    """Write an amount; pure."""
    return f"{cents // 100:,}.{cents % 100:02} {CURRENCY}"


def _to(name: str, **values: str) -> Response:
    """Send the browser to a page, by GET."""
    return Response(status=_SEE_OTHER, headers={"Location": BY_NAME[name].path.format(**values)})

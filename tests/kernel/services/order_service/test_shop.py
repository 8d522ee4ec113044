"""The shop's pages upon real stores, as a browser without scripts uses them."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlencode

import pytest

from tests.support.order_process import OrderProcess
from tests.support.real_stores import Stores

pytestmark = pytest.mark.kernel


@dataclass(frozen=True)
class Page:
    status: int
    headers: dict[str, str]
    html: str

    def field(self, name: str) -> str:
        """Give the value of the page's last hidden field of that name."""
        return unescape(re.findall(rf'name="{name}" value="([^"]*)"', self.html)[-1])


@dataclass
class Tab:
    """A browser's tab; `cookies` are its browser's."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, path: str, **fields: object) -> Page:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if fields else {}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={text}" for name, text in self.cookies.items())
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as link:
            link.request(method, path, urlencode(fields) if fields else None, headers)
            answer = link.getresponse()
            html = answer.read().decode()
        if cookie := answer.getheader("Set-Cookie"):
            name, _, text = cookie.partition(";")[0].partition("=")
            self.cookies[name] = text
        return Page(answer.status, {n.lower(): v for n, v in answer.getheaders()}, html)

    def add(self, product_id: int, quantity: object = 1) -> Page:
        token = self.send("GET", "/shop").field("token")
        fields = {"token": token, "product_id": product_id, "quantity": quantity}
        return self.send("POST", "/shop/cart", **fields)

    def order(self, cart: Page) -> Page:
        fields = {name: cart.field(name) for name in ("token", "idempotency_key")}
        return self.send("POST", "/shop/orders", **fields)


@pytest.fixture
def tab(service: OrderProcess) -> Tab:
    return Tab(service.port)


@pytest.fixture
def hostile_name(stores: Stores) -> Iterator[str]:
    """Give product 5 a name that is a script, for one test."""
    name = """<script>alert(1)</script>"' onload="x"""
    (before,) = stores.sql("SELECT name FROM products WHERE id = 5")[0]
    stores.sql("UPDATE products SET name = %s WHERE id = 5", name)
    yield name
    stores.sql("UPDATE products SET name = %s WHERE id = 5", before)


def orders_of(stores: Stores, tab: Tab) -> int:
    session = tab.cookies["session"][:24]
    return int(stores.sql("SELECT count(*) FROM orders WHERE session = %s", session)[0][0])


def test_products_are_put_into_the_cart_and_ordered(tab: Tab, stores: Stores):
    added = tab.add(3, 2)
    assert (added.status, added.headers["location"]) == (303, "/shop/cart")
    cart = tab.send("GET", "/shop/cart")
    assert "2 × Optical mouse" in cart.html
    assert "49.80 EUR" in cart.html
    placed = tab.order(cart)
    assert placed.status == 303
    order = tab.send("GET", placed.headers["location"])
    assert (order.status, "49.80 EUR" in order.html) == (200, True)
    assert "Your cart is empty" in tab.send("GET", "/shop/cart").html
    assert orders_of(stores, tab) == 1


def test_a_double_click_is_one_order(tab: Tab, stores: Stores):
    tab.add(3)
    cart = tab.send("GET", "/shop/cart")
    with ThreadPoolExecutor(4) as pool:
        clicks = list(pool.map(lambda _: tab.order(cart), range(4)))
    later = tab.order(cart)
    assert {click.status for click in (*clicks, later)} == {303}
    assert len({click.headers["location"] for click in (*clicks, later)}) == 1
    assert orders_of(stores, tab) == 1


def test_two_tabs_of_one_cart_are_one_order(tab: Tab, stores: Stores):
    tab.add(3)
    other = Tab(tab.port, tab.cookies)
    carts = tab.send("GET", "/shop/cart"), other.send("GET", "/shop/cart")
    assert tab.order(carts[0]).headers["location"] == other.order(carts[1]).headers["location"]
    assert orders_of(stores, tab) == 1


def test_a_tab_that_shows_an_earlier_cart_orders_nothing(tab: Tab, stores: Stores):
    tab.add(3)
    shown = tab.send("GET", "/shop/cart")
    Tab(tab.port, tab.cookies).add(4, 7)
    refused = tab.order(shown)
    assert (refused.status, "cart_changed" in refused.html) == (409, True)
    assert orders_of(stores, tab) == 0
    assert tab.order(tab.send("GET", "/shop/cart")).status == 303


def test_a_product_is_taken_out_of_the_cart(tab: Tab):
    tab.add(3)
    tab.add(4)
    token = tab.send("GET", "/shop/cart").field("token")
    removed = tab.send("POST", "/shop/cart/remove", token=token, product_id=3)
    assert (removed.status, removed.headers["location"]) == (303, "/shop/cart")
    html = tab.send("GET", "/shop/cart").html
    assert ("Optical mouse" in html, "Trackball" in html) == (False, True)


def test_what_is_added_while_another_product_is_removed_stays(tab: Tab):
    token = tab.send("GET", "/shop").field("token")
    other = Tab(tab.port, tab.cookies)
    for _ in range(40):
        tab.add(3)
        fields = {"token": token, "product_id": 3}
        with ThreadPoolExecutor(2) as pool:
            removed = pool.submit(other.send, "POST", "/shop/cart/remove", **fields)
            added = pool.submit(
                tab.send, "POST", "/shop/cart", token=token, product_id=4, quantity=1
            )
        assert (removed.result().status, added.result().status) == (303, 303)
        html = tab.send("GET", "/shop/cart").html
        assert ("Optical mouse" in html, "Trackball" in html) == (False, True)
        tab.send("POST", "/shop/cart/remove", token=token, product_id=4)


def test_a_name_that_is_a_script_is_text(tab: Tab, hostile_name: str):
    tab.add(5)
    for page in (tab.send("GET", "/shop"), tab.send("GET", "/shop/cart")):
        assert "<script" not in page.html
        assert 'onload="' not in page.html
        assert "&lt;script&gt;alert(1)" in page.html
    placed = tab.send("GET", tab.order(tab.send("GET", "/shop/cart")).headers["location"])
    assert ("<script" in placed.html, "&lt;script&gt;" in placed.html) == (False, True)


def test_each_page_allows_no_script_and_nothing_from_elsewhere(tab: Tab):
    for path in ("/shop", "/shop/cart", "/docs", "/shop/orders/none", "/shop?page=x"):
        page = tab.send("GET", path)
        assert page.headers["content-type"].startswith("text/html")
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self';")
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["cache-control"] == "no-store"
        assert not re.search(r"<script|style=|<style|src=|https?://(?!www\.w3)", page.html)
        assert "X-Served-By: <b>order-service</b>" in page.html


def test_all_products_are_on_some_page_and_none_on_two(tab: Tab):
    named: list[str] = []
    for page in (1, 2, 3):
        named += re.findall("<h2>(.*)</h2>", tab.send("GET", f"/shop?page={page}").html)
    assert len(named) == len(set(named)) == 24
    assert "There is no page 4" in tab.send("GET", "/shop?page=4").html


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "page=1&page=2", "page=" + "9" * 400, "page=%0d%0aX-Evil:%201"]
)
def test_rubbish_for_a_page_is_a_400_that_is_a_page(tab: Tab, query: str):
    page = tab.send("GET", f"/shop?{query}")
    assert (page.status, "bad_request" in page.html) == (400, True)
    assert "x-evil" not in page.headers


@pytest.mark.parametrize("quantity", ["0", "-1", "x", "", "1001", "9" * 99, "1\r\nX: y"])
def test_a_quantity_of_rubbish_puts_nothing_into_the_cart(tab: Tab, quantity: str):
    assert tab.add(3, quantity).status == 400
    assert "Your cart is empty" in tab.send("GET", "/shop/cart").html


def test_another_clients_order_is_not_there(tab: Tab):
    tab.add(3)
    location = tab.order(tab.send("GET", "/shop/cart")).headers["location"]
    assert Tab(tab.port).send("GET", location).status == 404


def test_an_idempotency_key_of_rubbish_orders_nothing(tab: Tab, stores: Stores):
    tab.add(3)
    token = tab.send("GET", "/shop/cart").field("token")
    for key, status in (("", 400), ("x y", 400), ("x" * 129, 400), ("mine", 409)):
        page = tab.send("POST", "/shop/orders", token=token, idempotency_key=key)
        assert page.status == status
    assert orders_of(stores, tab) == 0


def test_a_cookie_of_rubbish_is_replaced(tab: Tab, new_client: Callable[[], object]):
    tab.cookies["session"] = "A" * 48
    assert tab.send("GET", "/shop").status == 200
    assert tab.cookies["session"] != "A" * 48
    assert tab.add(3).status == 303


def test_a_full_page_and_its_head_say_the_same(tab: Tab):
    for path in ("/shop", "/docs", "/shop/style.css"):
        whole, head = tab.send("GET", path), tab.send("HEAD", path)
        assert (head.status, head.html) == (whole.status, "")
        assert head.headers["content-type"] == whole.headers["content-type"]

"""The shop orders a cart as its page has shown it, or not at all, whatever happens meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from services.order_service import orders
from services.order_service.carts import Cart, Carts
from services.order_service.orders import CartOrdered, Placed
from services.order_service.sessions import Sessions
from services.order_service.shop import key_of
from tests.support.idle_apps import SESSION_KEY, order_app

SESSIONS = Sessions(SESSION_KEY)
SESSION = SESSIONS.make()
SHOWN, LATER = Cart("a" * 40, {3: 2}), Cart("b" * 40, {9: 4})


@dataclass
class FakeStores:
    """One cart in Redis, and PostgreSQL, which takes each order but those of `ordered`."""

    cart: Cart = SHOWN
    after_show: Cart | None = None  # what the cart is once it has been looked at
    ordered: tuple[Cart, ...] = ()
    placed: list[Cart] = field(default_factory=list)

    def show(self, session: str) -> Cart:
        seen, self.cart = self.cart, self.after_show or self.cart
        return seen

    def take_out(self, session: str, cart: Cart) -> None:
        self.cart = LATER

    def place(self, database: object, request: object, cart: Cart) -> Placed:
        if cart in self.ordered:
            raise CartOrdered(cart)
        self.placed.append(cart)
        return Placed("0b0e4f4c-1e6f-4f3c-9d0d-2f2b9f0c1a11", cart)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    return order_app(tmp_path_factory.mktemp("secrets")).test_client(use_cookies=False)


def order(client: FlaskClient, stores: FakeStores, patch: pytest.MonkeyPatch) -> TestResponse:
    """Send the form of the page that showed SHOWN."""
    patch.setattr(Carts, "show", lambda _, session: stores.show(session))
    patch.setattr(Carts, "take_out", lambda _, session, cart: stores.take_out(session, cart))
    patch.setattr(orders, "replay", lambda database, request: None)
    patch.setattr(orders, "place", stores.place)
    form = {"token": SESSIONS.form_token(SESSION), "idempotency_key": key_of(SHOWN)}
    return client.post("/shop/orders", data=form, headers={"Cookie": f"session={SESSION.id}"})


def test_a_cart_as_it_was_shown_is_ordered(client, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = FakeStores()
    assert order(client, stores, monkeypatch).status_code == 303
    assert stores.placed == [SHOWN]


def test_what_comes_into_the_cart_after_the_look_at_it_is_not_ordered(
    client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = FakeStores(after_show=LATER)
    order(client, stores, monkeypatch)
    assert stores.placed == [SHOWN]


def test_what_another_request_leaves_of_the_cart_is_not_ordered(
    client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = FakeStores(ordered=(SHOWN,))
    refused = order(client, stores, monkeypatch)
    assert (refused.status_code, "cart_changed" in refused.text) == (409, True)
    assert stores.placed == []


def test_an_empty_cart_is_not_ordered_by_the_key_of_another(
    client, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = order(client, FakeStores(cart=Cart("", {})), monkeypatch)
    assert (refused.status_code, "cart_changed" in refused.text) == (409, True)

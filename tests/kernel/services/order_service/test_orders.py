"""A key and an order are their session's, and a session is what the service has given out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.order_process import Client, OrderProcess, at_once
from tests.support.real_stores import Stores
from tests.support.sandbox import eventually

pytestmark = pytest.mark.kernel
MADE_UP = "A" * 48


def aged(stores: Stores, client: Client, hours: int) -> None:
    stores.sql(
        "UPDATE orders SET created_at = now() - make_interval(hours => %s) WHERE session = %s",
        hours,
        client.session[:24],
    )


def test_a_key_is_its_sessions(new_client: Callable[[], Client]):
    one, other = new_client(), new_client()
    first, second = one.order(3, key="same"), other.order(3, key="same")
    assert (first.status, second.status) == (201, 201)
    assert first.said["id"] != second.said["id"]
    assert (one.order(3, key="same").said["id"], one.order(3, key="same").status) == (
        first.said["id"],
        200,
    )
    assert other.order(4, key="same").said["error"] == "idempotency_key_reused"


def test_concurrent_orders_with_one_key_are_one_order(new_client: Callable[[], Client]):
    client = new_client()
    answers = at_once(*[lambda: client.order(3, key="one")] * 6)
    assert sorted(answer.status for answer in answers) == [200] * 5 + [201]
    assert len({answer.said["id"] for answer in answers}) == 1


def test_a_key_without_a_session_is_refused(service: OrderProcess):
    answer = Client(service.port).order(3, key="nobodys")
    assert (answer.status, answer.said["error"]) == (400, "session_required")


def test_a_key_is_kept_for_a_day_and_then_forgotten(
    stores: Stores, new_client: Callable[[], Client]
):
    kept, forgotten = new_client(), new_client()
    for client, hours in ((kept, 23), (forgotten, 25)):
        assert client.order(3, key="daily").status == 201
        aged(stores, client, hours)
    eventually(lambda: forgotten.order(3, key="daily").status == 201, within_s=6)
    assert kept.order(3, key="daily").status == 200


def test_an_order_is_read_in_its_session_only(
    service: OrderProcess, new_client: Callable[[], Client]
):
    owner = Client(service.port)
    placed = owner.order(3)
    path = f"/orders/{placed.said['id']}"
    assert placed.headers["location"] == f"/api{path}"
    assert owner.call("GET", path).said == placed.said
    for stranger in (new_client(), Client(service.port)):
        answer = stranger.call("GET", path)
        assert (answer.status, answer.said["error"]) == (404, "unknown_order")


def test_a_session_id_that_a_client_chose_is_not_taken(service: OrderProcess):
    for path, body in (
        ("/cart", {"product_id": 3, "quantity": 1}),
        ("/orders", {"from_cart": True}),
    ):
        answer = Client(service.port, MADE_UP).call("POST", path, body)
        assert (answer.status, answer.said["field"]) == (400, "X-Session-ID")


def test_a_cookie_that_a_client_was_given_by_others_is_replaced(service: OrderProcess):
    client = Client(service.port)
    answer = client.call(
        "POST", "/cart", {"product_id": 3, "quantity": 1}, Cookie=f"session={MADE_UP}"
    )
    assert answer.status == 200
    assert MADE_UP not in (client.session, answer.said["session"], answer.headers["set-cookie"])
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert Client(service.port).call("GET", "/cart", Cookie=cookie).said["items"]

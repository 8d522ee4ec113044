"""A cart is ordered once, whoever asks at the same time and whatever fails around COMMIT."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.support.order_process import Answer, Client, OrderProcess, at_once
from tests.support.real_stores import Stores
from tests.support.sandbox import eventually

pytestmark = pytest.mark.kernel
PRODUCT, OTHER = 3, 9
_WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


def orders_of(stores: Stores, client: Client) -> int:
    [(count,)] = stores.sql("SELECT count(*) FROM orders WHERE session = %s", client.session[:24])
    return int(count)


def cart_key(client: Client) -> str:
    return f"cart:{client.session[:24]}"


@contextmanager
def held_before_commit(
    stores: Stores, act: Callable[[], Answer]
) -> Iterator[tuple[Future[Answer], Callable[[], object]]]:
    """Hold an order that has read the cart, until the second of what is given is called."""
    with ThreadPoolExecutor(1) as pool, stores.transaction() as execute:
        execute("SELECT 1 FROM products WHERE id = %s FOR UPDATE", PRODUCT)
        answer = pool.submit(act)
        eventually(lambda: bool(stores.sql(_WAITING)), within_s=2)
        yield answer, lambda: execute("COMMIT")


def test_of_concurrent_checkouts_one_orders_the_cart(
    stores: Stores, new_client: Callable[[], Client]
):
    for _ in range(10):
        client = new_client()
        client.add(PRODUCT, 1)
        answers = at_once(client.check_out, client.check_out, client.check_out)
        assert sorted(answer.status for answer in answers) == [201, 409, 409]
        refused = {answer.said["error"] for answer in answers if answer.status == 409}
        assert (refused, orders_of(stores, client)) == ({"cart_empty"}, 1)
        assert client.cart() == {}


def test_of_concurrent_checkouts_with_one_key_all_get_the_order(
    stores: Stores, new_client: Callable[[], Client]
):
    for number in range(10):
        client = new_client()
        client.add(PRODUCT, 1)
        answers = at_once(*[lambda: client.check_out(f"key-{number}")] * 3)  # noqa: B023
        assert sorted(answer.status for answer in answers) == [200, 200, 201]
        assert len({answer.said["id"] for answer in answers}) == 1
        assert client.call("DELETE", "/cart").status == 204
        assert client.check_out(f"key-{number}").status == 200
        assert orders_of(stores, client) == 1


def test_what_is_added_while_a_cart_is_ordered_is_a_cart_of_its_own(
    stores: Stores, new_client: Callable[[], Client]
):
    client = new_client()
    client.add(PRODUCT, 2)
    with held_before_commit(stores, client.check_out) as (answer, let_go):
        assert client.add(PRODUCT, 1).status == 200
        assert client.add(OTHER, 4).status == 200
        let_go()
        assert answer.result().status == 201
    assert client.cart() == {PRODUCT: 1, OTHER: 4}
    assert client.check_out().status == 201
    assert client.cart() == {}
    assert client.check_out().said["error"] == "cart_empty"


def test_a_cart_is_not_ordered_again_after_an_outage_of_redis_at_commit(
    stores: Stores, new_client: Callable[[], Client]
):
    client = new_client()
    client.add(PRODUCT, 1)
    with held_before_commit(stores, client.check_out) as (answer, let_go):
        stores.redis.kill()
        let_go()
        assert answer.result().status == 201
    stores.redis.start()
    eventually(lambda: client.check_out().status == 409, within_s=2.5)
    assert (client.cart(), orders_of(stores, client)) == ({}, 1)


def test_a_repeat_after_an_outage_of_redis_gets_its_order_and_empties_the_cart(
    stores: Stores, new_client: Callable[[], Client]
):
    client = new_client()
    client.add(PRODUCT, 1)
    with held_before_commit(stores, lambda: client.check_out("once")) as (answer, let_go):
        stores.redis.kill()
        let_go()
        first = answer.result()
    assert client.check_out("once").said["id"] == first.said["id"]
    stores.redis.start()
    eventually(lambda: client.call("GET", "/cart").status == 200, within_s=2.5)
    assert client.check_out("once").status == 200
    assert client.cart() == {}


def test_a_cart_is_not_ordered_again_by_a_service_that_was_killed_after_commit(
    stores: Stores, service: OrderProcess, new_client: Callable[[], Client]
):
    client = new_client()
    client.add(PRODUCT, 1)
    with held_before_commit(stores, lambda: client.check_out("once")) as (answer, let_go):
        stores.redis.send(signal.SIGSTOP)  # The service waits for it, after COMMIT.
        let_go()
        eventually(lambda: orders_of(stores, client) == 1, within_s=1)
        service.kill()
        assert answer.exception() is not None
    stores.redis.send(signal.SIGCONT)
    service.start()
    assert client.cart() == {PRODUCT: 1}
    assert client.check_out().said["error"] == "cart_empty"
    assert client.check_out("once").status == 200
    assert (client.cart(), orders_of(stores, client)) == ({}, 1)


@pytest.mark.parametrize("added", [{}, {OTHER: 2}])
def test_redis_may_come_back_with_the_cart_as_it_was(
    stores: Stores, new_client: Callable[[], Client], added: dict[int, int]
):
    client = new_client()
    client.add(PRODUCT, 1)
    with stores.redis_client() as redis_cache:
        before = redis_cache.dump(cart_key(client))
        assert client.check_out().status == 201
        redis_cache.restore(cart_key(client), 60_000, before, replace=True)
    for product_id, quantity in added.items():
        client.add(product_id, quantity)
    if added:
        assert client.check_out().status == 201
        [(count,)] = stores.sql(
            "SELECT count(*) FROM orders JOIN order_items ON order_id = id"
            " WHERE session = %s AND product_id = %s",
            client.session[:24],
            PRODUCT,
        )
        assert count == 1
    assert client.check_out().said["error"] == "cart_empty"
    assert client.cart() == {}


def test_the_sweep_empties_a_cart_that_nobody_asks_for(
    stores: Stores, new_client: Callable[[], Client]
):
    client = new_client()
    client.add(PRODUCT, 1)
    with stores.redis_client() as redis_cache:
        before = redis_cache.dump(cart_key(client))
        assert client.check_out().status == 201
        redis_cache.restore(cart_key(client), 60_000, before, replace=True)
        assert client.cart() == {PRODUCT: 1}
        eventually(lambda: not redis_cache.exists(cart_key(client)), within_s=8)
    time.sleep(0.2)
    assert (
        stores.sql("SELECT id FROM orders WHERE to_empty AND session = %s", client.session[:24])
        == []
    )

"""Strangers' carts take room from nobody: a full Redis refuses what grows, and evicts nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.common.call_stats import CallStats
from services.common.catalogue import LIST_KEY, product_key
from services.common.failures import RedisFull
from services.common.redis_store import RedisStore
from services.common.settings import from_environment
from services.order_service.carts import Carts
from services.product_service.cache import Cache
from tests.support.order_process import Client, OrderProcess
from tests.support.real_stores import Stores, real_stores

pytestmark = pytest.mark.kernel
TTL_S = 600
MOST = 30_000


@pytest.fixture(scope="module")
def stores(software: None) -> Iterator[Stores]:
    with real_stores("--maxmemory 4mb") as running:
        yield running


def store_of(stores: Stores, service: str) -> RedisStore:
    return RedisStore(from_environment(service, stores.environment_of(service)), CallStats())


@pytest.fixture(scope="module")
def filled(stores: Stores) -> int:
    """Fill Redis with strangers' carts; give their number."""
    return fill(Carts(store_of(stores, "order-service"), TTL_S), "stranger")


def fill(carts: Carts, name: str) -> int:
    """Add carts until none is taken any more, and give their number; what Redis uses varies."""
    taken = refused = 0
    while refused < 50:
        assert taken < MOST, "Redis is never full"
        try:
            carts.add(f"{name}-{taken}", 3, 1)
        except RedisFull:
            refused += 1
        else:
            taken, refused = taken + 1, 0
    return taken


def test_no_cart_is_evicted(stores: Stores, filled: int) -> None:
    carts = Carts(store_of(stores, "order-service"), TTL_S)
    assert filled > 1_300
    for number in range(filled):
        assert carts.show(f"stranger-{number}").lines == {3: 1}


def test_what_is_cached_has_room_yet(stores: Stores, filled: int) -> None:
    cache = Cache(store_of(stores, "product-service"), 30)
    for key in (LIST_KEY, *map(product_key, range(1, 25))):
        assert cache.read(key, lambda: b"x" * 3_000) == (b"x" * 3_000, "miss")
        assert cache.read(key, lambda: b"y") == (b"x" * 3_000, "hit")


def test_a_cart_that_is_there_is_changed_emptied_and_expires(stores: Stores, filled: int) -> None:
    carts = Carts(store_of(stores, "order-service"), TTL_S)
    carts.add("stranger-1", 3, 4)
    assert carts.show("stranger-1").lines == {3: 5}
    carts.replace("stranger-1", {4: 1})
    carts.take_out("stranger-1", carts.show("stranger-1"))
    assert carts.show("stranger-1").lines == {}
    carts.replace("stranger-1", {})
    with stores.redis_client() as redis_cache:
        assert 0 < redis_cache.ttl("cart:stranger-0") <= TTL_S


def test_growth_is_refused_whichever_way_it_is_asked_for(stores: Stores, filled: int) -> None:
    carts = Carts(store_of(stores, "order-service"), TTL_S)
    fill(carts, "more")  # what the other tests have freed
    with pytest.raises(RedisFull):
        carts.add("stranger-0", 4, 1)
    with pytest.raises(RedisFull):
        carts.replace("nobody-before", {3: 1})
    with pytest.raises(RedisFull):
        carts.replace("stranger-0", {3: 1, 4: 1})
    assert carts.show("stranger-0").lines == {3: 1}


def test_a_client_gets_a_503_that_says_so_and_may_order(stores: Stores, filled: int) -> None:
    carts = Carts(store_of(stores, "order-service"), TTL_S)
    fill(carts, "last")
    service = OrderProcess(stores)
    try:
        client = Client(service.port)
        for answer in (
            client.add(3, 1),
            client.call("PUT", "/cart", {"items": [{"product_id": 3, "quantity": 1}]}),
        ):
            assert (answer.status, answer.said["error"]) == (503, "redis_full")
            assert answer.said["message"].startswith("there is no room for more in any cart now")
            assert answer.headers["retry-after"] == "60"
            assert answer.said["request_id"] == answer.headers["x-request-id"]
        assert client.order(3).status == 201
        assert client.call("GET", "/health").said["status"] == "ok"
    finally:
        service.kill()

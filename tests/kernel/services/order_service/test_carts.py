"""What was ordered is taken out of a cart once; a full Redis refuses carts, not their emptying."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.common.failures import RedisDown
from services.order_service.carts import Cart, Carts
from tests.support.order_process import carts_over
from tests.support.real_stores import Stores

pytestmark = pytest.mark.kernel


@pytest.fixture
def carts(stores: Stores) -> Carts:
    return carts_over(stores, stores.redis.port)


@pytest.fixture
def session() -> str:
    return secrets.token_hex(12)


@contextmanager
def full(stores: Stores) -> Iterator[None]:
    with stores.redis_client() as store:
        store.config_set("maxmemory", 1)
        try:
            yield
        finally:
            store.config_set("maxmemory", 0)


def test_what_was_ordered_is_taken_out_once(carts: Carts, session: str):
    carts.add(session, 3, 2)
    carts.add(session, 4, 1)
    ordered = carts.show(session)
    carts.add(session, 3, 5)
    for _ in range(3):
        carts.take_out(session, ordered)
        assert carts.show(session).lines == {3: 5}
    assert carts.show(session).id not in ("", ordered.id)


def test_a_cart_of_which_all_was_ordered_is_gone(carts: Carts, session: str):
    carts.replace(session, {3: 2, 4: 1})
    carts.take_out(session, carts.show(session))
    assert (carts.show(session).id, carts.show(session).lines) == ("", {})


def test_a_replaced_cart_is_another(carts: Carts, session: str):
    carts.add(session, 3, 2)
    ordered = carts.show(session)
    carts.replace(session, {3: 2})
    carts.take_out(session, ordered)
    assert carts.show(session).lines == {3: 2}


def test_what_remains_has_the_same_id_whenever_it_is_taken_out(
    stores: Stores, carts: Carts, session: str
):
    carts.add(session, 3, 2)
    ordered = carts.show(session)
    carts.add(session, 4, 1)
    key = f"cart:{session}"
    with stores.redis_client() as store:
        earlier = store.dump(key)
        carts.take_out(session, ordered)
        rest = carts.show(session)
        carts.take_out(session, rest)
        store.restore(key, 60_000, earlier, replace=True)
    carts.take_out(session, ordered)
    carts.take_out(session, rest)
    assert carts.show(session).lines == {}


def test_a_product_is_removed_and_nothing_else(carts: Carts, session: str):
    carts.remove(session, 3)
    carts.add(session, 3, 2)
    carts.add(session, 4, 1)
    whole = carts.show(session)
    for _ in range(2):
        carts.remove(session, 3)
        assert carts.show(session) == Cart(whole.id, {4: 1})
    carts.take_out(session, whole)
    assert carts.show(session) == Cart("", {})
    carts.add(session, 3, 2)
    carts.remove(session, 3)
    assert carts.show(session) == Cart("", {})


def test_a_full_redis_takes_nothing_into_a_cart_and_everything_out_of_one(
    stores: Stores, carts: Carts, session: str
):
    carts.add(session, 3, 2)
    carts.add(session, 4, 1)
    ordered = carts.show(session)
    carts.add(session, 3, 1)
    with full(stores):
        for fill in (lambda: carts.add(session, 5, 1), lambda: carts.replace(session, {5: 1})):
            with pytest.raises(RedisDown, match="OOM"):
                fill()
            assert carts.show(session).lines == {3: 3, 4: 1}
        carts.take_out(session, ordered)
        assert carts.show(session).lines == {3: 1}
        carts.remove(session, 5)
        carts.remove(session, 3)
        assert carts.show(session).lines == {}
        carts.replace(session, {})
        assert carts.show(session).lines == {}

"""Cache-aside with leases: one reader fills a key, and never with old data."""

from __future__ import annotations

import pytest

from services.common.catalogue import LIST_KEY, keys_of_change, lease_key
from services.common.failures import DatabaseDown
from services.product_service.cache import Cache
from tests.support.cache_store import FakeStore


def test_the_cache_loads_once_then_passes_the_bytes_through() -> None:
    cache = Cache(FakeStore(), 30)
    assert cache.read(LIST_KEY, lambda: b"one") == (b"one", "miss")
    assert cache.read(LIST_KEY, lambda: b"two") == (b"one", "hit")


def test_the_cache_is_bypassed_when_redis_is_down() -> None:
    store = FakeStore()
    store.down = True
    assert Cache(store, 30).read(LIST_KEY, lambda: b"one") == (b"one", "bypass")


def no_wait(_seconds: float) -> None:
    pytest.fail("it waited for nobody")


def test_nobody_waits_for_what_does_not_exist() -> None:
    cache = Cache(FakeStore(), 30, sleep=no_wait)
    assert cache.read(LIST_KEY, lambda: None) == (None, "miss")
    assert cache.read(LIST_KEY, lambda: b"not asked") == (None, "hit")
    assert cache.held(LIST_KEY) is None


def test_nobody_waits_for_a_reader_that_failed() -> None:
    def fail() -> bytes:
        raise DatabaseDown("down")

    cache = Cache(FakeStore(), 30, sleep=no_wait)
    for _ in range(2):
        with pytest.raises(DatabaseDown):
            cache.read(LIST_KEY, fail)
    assert cache.read(LIST_KEY, lambda: b"one") == (b"one", "miss")


def test_data_read_before_a_change_is_not_kept_after_it() -> None:
    store = FakeStore()

    def load_during_an_order() -> bytes:
        for key in keys_of_change([1]):
            store.data.pop(key, None)
        return b"old"

    assert Cache(store, 30).read(LIST_KEY, load_during_an_order) == (b"old", "miss")
    assert LIST_KEY not in store.data


def test_a_second_reader_waits_for_the_first_ones_value() -> None:
    store = FakeStore()
    store.data[lease_key(LIST_KEY)] = b"of another"

    def other_fills(_: float) -> None:
        store.data[LIST_KEY] = b"filled"

    cache = Cache(store, 30, sleep=other_fills)
    assert cache.read(LIST_KEY, lambda: b"mine") == (b"filled", "hit")


def test_a_reader_whose_wait_runs_out_reads_the_database() -> None:
    store = FakeStore()
    store.data[lease_key(LIST_KEY)] = b"of one that died"
    cache = Cache(store, 30, sleep=lambda _: None)
    assert cache.read(LIST_KEY, lambda: b"mine") == (b"mine", "miss")
    assert LIST_KEY not in store.data

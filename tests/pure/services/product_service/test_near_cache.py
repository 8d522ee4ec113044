"""Copies are served only while each change of them is certainly heard; pure, by a clock in hand."""

from __future__ import annotations

import pytest

from services.common.catalogue import LIST_KEY, product_key
from services.common.failures import RedisDown
from services.product_service import near_cache
from services.product_service.near_cache import TRUST_S, Copies, NearCache
from tests.support.cache_store import FakeStore


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def copies(clock: Clock) -> Copies:
    """Give copies that are trusted now."""
    copies = Copies(clock)
    copies.begin()
    copies.trust(clock.now_s)
    return copies


def keep(copies: Copies, key: bytes, value: bytes) -> None:
    copies.settle(key, copies.expect(key), value)


def test_a_copy_is_served_until_its_key_changes(copies: Copies) -> None:
    keep(copies, LIST_KEY, b"one")
    keep(copies, product_key(1), b"other")
    assert copies.get(LIST_KEY) == b"one"
    copies.changed([LIST_KEY])
    assert (copies.get(LIST_KEY), copies.get(product_key(1))) == (None, b"other")


def test_a_flush_drops_all(copies: Copies) -> None:
    keep(copies, LIST_KEY, b"one")
    copies.changed(None)
    assert copies.get(LIST_KEY) is None


def test_what_was_read_before_its_key_changed_is_not_kept(copies: Copies) -> None:
    marker = copies.expect(LIST_KEY)
    copies.changed([LIST_KEY])  # It overtakes the answer.
    copies.settle(LIST_KEY, marker, b"old")
    assert copies.get(LIST_KEY) is None


def test_what_was_read_before_the_link_was_lost_is_not_kept(copies: Copies, clock: Clock) -> None:
    marker = copies.expect(LIST_KEY)
    copies.end()
    copies.begin()
    copies.trust(clock.now_s)  # The next link cannot tell what changed between the two.
    copies.settle(LIST_KEY, marker, b"old")
    assert copies.get(LIST_KEY) is None


def test_a_reader_does_not_settle_for_another(copies: Copies) -> None:
    slow = copies.expect(LIST_KEY)
    copies.changed([LIST_KEY])
    quick = copies.expect(LIST_KEY)
    copies.settle(LIST_KEY, slow, b"old")
    assert copies.get(LIST_KEY) is None
    copies.settle(LIST_KEY, quick, b"new")
    assert copies.get(LIST_KEY) == b"new"


def test_a_copy_is_served_no_longer_than_its_proof_is_good(copies: Copies, clock: Clock) -> None:
    keep(copies, LIST_KEY, b"one")
    clock.now_s += TRUST_S - 0.001
    assert copies.get(LIST_KEY) == b"one"
    clock.now_s += 0.001
    assert copies.get(LIST_KEY) is None
    copies.trust(clock.now_s)  # A late answer: on the same link nothing was missed.
    assert copies.get(LIST_KEY) == b"one"


def test_nothing_is_served_before_the_first_proof(clock: Clock) -> None:
    copies = Copies(clock)
    copies.begin()
    keep(copies, LIST_KEY, b"one")
    assert copies.get(LIST_KEY) is None
    copies.trust(clock.now_s)
    assert copies.get(LIST_KEY) == b"one"


def test_what_was_read_without_a_link_is_not_kept(copies: Copies, clock: Clock) -> None:
    keep(copies, LIST_KEY, b"one")
    copies.end()
    assert copies.get(LIST_KEY) is None
    keep(copies, LIST_KEY, b"old")  # It may change before the next link is there.
    copies.begin()
    copies.trust(clock.now_s)
    assert copies.get(LIST_KEY) is None


def test_copies_are_bounded_in_number(copies: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_cache, "MOST_COPIES", 3)
    for number in range(1, 6):
        keep(copies, product_key(number), b"%d" % number)
    found = [copies.get(product_key(number)) for number in range(1, 6)]
    assert found == [None, None, b"3", b"4", b"5"]


def test_what_does_not_exist_leaves_nothing(copies: Copies) -> None:
    cache = NearCache(FakeStore(), 30, copies)
    assert cache.read(product_key(99), lambda: None) == (None, "miss")
    assert copies._kept == {}


def test_a_second_read_asks_redis_and_a_third_asks_nobody(copies: Copies) -> None:
    store = FakeStore()
    cache = NearCache(store, 30, copies)
    assert cache.read(LIST_KEY, lambda: b"one") == (b"one", "miss")
    assert cache.read(LIST_KEY, lambda: b"two") == (b"one", "hit")
    store.down = True
    assert cache.read(LIST_KEY, lambda: b"two") == (b"one", "near")


def test_without_trust_redis_is_asked_each_time(copies: Copies, clock: Clock) -> None:
    cache = NearCache(FakeStore(), 30, copies)
    cache.read(LIST_KEY, lambda: b"one")
    cache.read(LIST_KEY, lambda: b"one")
    clock.now_s += TRUST_S
    assert cache.read(LIST_KEY, lambda: b"two") == (b"one", "hit")


def test_a_failure_to_read_leaves_nothing(copies: Copies) -> None:
    store = FakeStore()
    store.down = True

    def fail() -> bytes:
        raise RedisDown("and PostgreSQL too")

    with pytest.raises(RedisDown):
        NearCache(store, 30, copies).read(LIST_KEY, fail)
    assert copies._kept == {}

"""A near cache upon real Redis: no copy outlives a change by more than stated, whatever fails.

The link on which changes are heard goes through a relay that a test cuts or freezes (half open:
nothing passes, nothing is closed), while all else reaches Redis: the worst that a network can do.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count

import pytest
from redis.exceptions import RedisError

from services.common.call_stats import CallStats
from services.common.catalogue import LIST_KEY, keys_of_change
from services.common.failures import Breaker, RedisDown
from services.common.logs import Log
from services.common.redis_store import RedisStore
from services.common.settings import from_environment
from services.product_service.near_cache import TRUST_S, Copies, NearCache
from services.product_service.tracking import Tracking
from tests.support.order_process import Client, OrderProcess, ProductProcess
from tests.support.real_stores import Stores
from twinstack.model.runtimes import REDIS_DATA

pytestmark = pytest.mark.kernel
#: News arrives within a millisecond; a busy machine may add to that, but not the clock's second.
SOON_S = 0.5 * TRUST_S


class Relay:
    """A relay to Redis: passes on, or nothing, or cuts."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._links: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        self._open.clear()

    def thaw(self) -> None:
        self._open.set()

    def cut(self) -> None:
        """End each connection, at both ends."""
        while self._links:
            with suppress(OSError):
                self._links.pop().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.thaw()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    redis = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                self._links += [client, redis]
                for ends in ((client, redis), (redis, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


class Near:
    """A near cache, its link through the relay; and a writer."""

    def __init__(self, stores: Stores, relay: Relay) -> None:
        environment = stores.environment_of("product-service")
        settings = from_environment("product-service", environment)
        relayed = environment | {"REDIS_PORT": str(relay.port)}
        self.store = RedisStore(settings, CallStats())
        self.store.breaker = Breaker(0.0, RedisDown)
        self.copies = Copies()
        self.cache = NearCache(self.store, 30, self.copies)
        log = Log("product-service", "product-service", False)
        Tracking(from_environment("product-service", relayed), self.copies, log).start()
        self.admin = stores.redis_client()

    def read(self) -> tuple[bytes | None, str]:
        return self.cache.read(LIST_KEY, lambda: b"of the database")

    def is_near(self) -> bool:
        return self.read()[1] == "near"

    def write(self, value: bytes) -> None:
        self.admin.set(LIST_KEY, value)


def until(true: Callable[[], bool], timeout_s: float = 5.0) -> float:
    """Wait for something, and give how long it took. Units: seconds."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() < started + timeout_s, "it does not come true"
        time.sleep(0.001)
    return time.monotonic() - started


@pytest.fixture(scope="module")
def relay(stores: Stores) -> Iterator[Relay]:
    relay = Relay(stores.redis.port)
    yield relay
    relay.close()


@pytest.fixture(scope="module")
def all_near(stores: Stores, relay: Relay) -> Near:
    return Near(stores, relay)


@pytest.fixture
def near(all_near: Near) -> Near:
    """Give the near cache with a copy in it, and nothing on its way."""
    all_near.write(b"one")
    written_s = time.monotonic()
    until(lambda: all_near.copies._trusted_until_s > written_s + TRUST_S)
    until(lambda: all_near.read() == (b"one", "near"))
    return all_near


def test_a_change_by_another_service_drops_the_copy(near: Near, stores: Stores) -> None:
    settings = from_environment("order-service", stores.environment)
    RedisStore(settings, CallStats()).command(b"DEL", *keys_of_change([1]))
    assert until(lambda: near.copies.get(LIST_KEY) is None) < SOON_S
    assert near.read() == (b"of the database", "miss")
    until(near.is_near)


def test_a_value_that_expires_or_is_flushed_is_dropped_unasked(near: Near) -> None:
    near.admin.set(LIST_KEY, b"one", px=300)
    until(lambda: near.copies.get(LIST_KEY) is None)
    assert [near.read() for _ in range(2)] == [(b"one", "hit"), (b"one", "near")]
    assert 0.1 < until(lambda: near.copies.get(LIST_KEY) is None) < 0.3 + TRUST_S
    until(near.is_near)
    near.admin.flushall()
    assert until(lambda: near.copies.get(LIST_KEY) is None) < SOON_S


def test_what_was_read_before_a_change_that_overtakes_the_answer_is_not_kept(near: Near) -> None:
    near.write(b"old")
    until(lambda: near.copies.get(LIST_KEY) is None)
    get = near.store.get

    def slow_get(key: bytes) -> bytes | None:
        value = get(key)
        near.write(b"new")  # Redis tells of it before the reader gets on.
        until(lambda: key not in near.copies._kept)
        return value

    near.store.get = slow_get  # type: ignore[method-assign]
    try:
        assert near.read() == (b"old", "hit")
    finally:
        near.store.get = get  # type: ignore[method-assign]
    assert near.read() == (b"new", "hit")
    assert near.read() == (b"new", "near")


def test_a_cut_link_empties_the_copies_at_once(near: Near, relay: Relay) -> None:
    relay.cut()
    assert until(lambda: not near.copies._kept) < SOON_S
    assert near.read() == (b"one", "hit")
    until(near.is_near)


def test_on_a_half_open_link_copies_are_served_no_longer_than_stated(
    near: Near, relay: Relay
) -> None:
    relay.freeze()
    try:
        near.write(b"two")
        changed_s = time.monotonic()
        assert near.read() == (b"one", "near")  # So this does test something.
        asked_s = stale_s = changed_s
        while near.read()[0] != b"two":
            stale_s, asked_s = asked_s, time.monotonic()
        assert 0.3 * TRUST_S < stale_s - changed_s < TRUST_S
        until(lambda: not near.copies._listening)
        assert [near.read() for _ in range(2)] == [(b"two", "hit")] * 2  # Bypassed.
    finally:
        relay.thaw()
    until(near.is_near)


def test_when_redis_is_stopped_the_database_is_read_in_time(near: Near, stores: Stores) -> None:
    stores.redis.send(signal.SIGSTOP)
    try:
        # Two tries of 0.25 s at Redis are in it: this store's breaker never rests.
        assert until(lambda: near.read()[1] == "bypass") < TRUST_S + 4 * 0.25
    finally:
        stores.redis.send(signal.SIGCONT)
    until(near.is_near)


def test_what_a_killed_redis_forgot_is_not_served(near: Near, stores: Stores) -> None:
    data = os.open(f"/proc/{stores.redis.pid}/root{REDIS_DATA}", os.O_PATH)
    stores.redis.kill()
    assert until(lambda: not near.copies._kept) < SOON_S
    assert near.read() == (b"of the database", "bypass")
    for name in os.listdir(f"/proc/self/fd/{data}"):
        shutil.rmtree(f"/proc/self/fd/{data}/{name}")
    os.close(data)
    stores.redis.start()
    assert near.admin.get(LIST_KEY) is None  # It is empty.
    until(near.is_near)
    assert near.read()[0] == b"of the database"


def test_no_read_is_older_than_stated_while_all_fails(
    near: Near, relay: Relay, stores: Stores, request: pytest.FixtureRequest
) -> None:
    seconds = 60.0 if request.config.getoption("--full") else 3.0
    near.write(b"0")
    until(lambda: near.read()[0] == b"0")
    written = [(time.monotonic(), 0)]  # when Redis had acknowledged it, and which
    ends_s, wrong, sources = time.monotonic() + seconds, list[str](), list[str]()

    def write() -> None:
        for number in count(1):
            if time.monotonic() > ends_s:
                return
            with suppress(RedisError):
                near.write(b"%d" % number)
                written.append((time.monotonic(), number))
            time.sleep(random.uniform(0, 0.005))

    def read() -> None:
        while time.monotonic() < ends_s:
            began_s = time.monotonic()
            value, source = near.cache.read(LIST_KEY, lambda: b"%d" % written[-1][1])
            bound_s = TRUST_S if source == "near" else 0.0
            before_s = began_s - bound_s
            least = next((n for at_s, n in reversed(written) if at_s <= before_s), 0)
            sources.append(source)
            if int(value or b"-1") < least:
                wrong.append(f"{source}: {value!r} when {least} was written {bound_s:g} s before")
            time.sleep(0)

    strikes = (relay.freeze, relay.cut, lambda: stores.redis.send(signal.SIGSTOP))
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(run) for run in (write, read, read)]
        while time.monotonic() < ends_s - TRUST_S:
            random.choice(strikes)()
            time.sleep(random.uniform(0.05, 1.3))
            relay.thaw()
            stores.redis.send(signal.SIGCONT)
            time.sleep(random.uniform(0.1, 0.6))
        for job in running:
            job.result()
    assert not wrong
    assert {"near", "hit"} <= set(sources)


def test_the_service_answers_from_its_copy_until_an_order_changes_it(stores: Stores) -> None:
    product, order = ProductProcess(stores, CACHE="near"), OrderProcess(stores)
    try:
        client, buyer = Client(product.port), Client(order.port)
        first = client.call("GET", "/products/3").said["stock"]
        until(lambda: client.call("GET", "/products/3").headers["x-cache"] == "near")
        buyer.cart()
        assert buyer.order(3, 2).status == 201
        until(lambda: client.call("GET", "/products/3").said["stock"] == first - 2, TRUST_S)
    finally:
        product.kill()
        order.kill()

"""What changes something in Redis is sent once, also when the link to it is cut."""

from __future__ import annotations

import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from services.common.call_stats import CallStats
from services.common.failures import Breaker, RedisDown
from services.common.redis_store import RedisStore
from services.common.settings import from_environment
from tests.support.order_process import carts_over
from tests.support.real_stores import Stores

pytestmark = pytest.mark.kernel


class CuttingLink:
    """A link to Redis that, once armed, is cut after a command's answer, which it withholds."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.armed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        redis = socket.create_connection(("127.0.0.1", self._target))
        with closing(client), redis, suppress(OSError):
            while command := client.recv(65536):
                redis.sendall(command)
                answer = redis.recv(65536)
                if self.armed:
                    self.armed = False
                    return
                client.sendall(answer)


@pytest.fixture
def link(stores: Stores) -> Iterator[CuttingLink]:
    link = CuttingLink(stores.redis.port)
    yield link
    link.close()


def test_an_addition_that_got_no_answer_is_not_sent_again(stores: Stores, link: CuttingLink):
    carts, session = carts_over(stores, link.port), secrets.token_hex(12)
    carts.add(session, 3, 1)
    link.armed = True
    with pytest.raises(RedisDown):
        carts.add(session, 3, 1)
    assert carts.show(session).lines == {3: 2}


def test_a_read_that_got_no_answer_is_sent_again(stores: Stores, link: CuttingLink):
    carts, session = carts_over(stores, link.port), secrets.token_hex(12)
    carts.add(session, 3, 1)
    link.armed = True
    assert carts.show(session).lines == {3: 1}


def test_after_a_restart_of_redis_the_first_addition_succeeds(stores: Stores):
    carts, session = carts_over(stores, stores.redis.port), secrets.token_hex(12)
    carts.add(session, 3, 1)
    stores.redis.kill()
    stores.redis.start()
    carts.add(session, 3, 1)
    assert carts.show(session).lines == {3: 2}


def test_a_redis_that_is_silent_is_given_up_in_time_and_asked_again(stores: Stores):
    store = store_of(stores)
    store.command("PING")
    stores.redis.send(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(RedisDown, match=r"no answer within 0\.25 s"):
            store.get(b"catalogue:list")
        assert 0.2 < time.monotonic() - began < 0.6
    finally:
        stores.redis.send(signal.SIGCONT)
    store.breaker = Breaker(0.0, RedisDown)
    assert store.get(b"catalogue:none") is None  # not the answer that came too late


def test_a_cart_waits_for_a_redis_that_is_late(stores: Stores):
    carts, session = carts_over(stores, stores.redis.port), secrets.token_hex(12)
    carts.add(session, 3, 1)
    stores.redis.send(signal.SIGSTOP)
    late = threading.Timer(0.4, stores.redis.send, (signal.SIGCONT,))
    late.start()
    try:
        carts.add(session, 3, 1)
    finally:
        late.join()
    assert carts.show(session).lines == {3: 2}


def test_a_wrong_password_and_a_refusal_are_told_apart(stores: Stores, tmp_path: Path):
    (tmp_path / "redis_password").write_text("wrong")
    with pytest.raises(RedisDown, match="login refused: WRONGPASS"):
        store_of(stores, SECRETS_DIR=str(tmp_path)).get(b"catalogue:list")
    store = store_of(stores)
    for _ in range(3):  # it answers: the breaker stays closed
        with pytest.raises(RedisDown, match="refused: NOPERM"):
            store.get(b"cart:x")
    assert store.get(b"catalogue:none") is None


def test_what_is_no_redis_is_down(stores: Stores):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        store = store_of(stores, REDIS_PORT=str(listener.getsockname()[1]))

        def speak() -> None:
            link, _ = listener.accept()
            with link:
                link.recv(1000)
                link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=speak, daemon=True).start()
        with pytest.raises(RedisDown, match="no Redis"):
            store.get(b"catalogue:list")


def store_of(stores: Stores, **environment: str) -> RedisStore:
    known = stores.environment_of("product-service")
    settings = from_environment("product-service", known | environment)
    return RedisStore(settings, CallStats())

"""What changes something in Redis is sent once, also when the link to it is cut."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from services.common.failures import RedisDown
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

"""The order service asks product instances on loopback: one is silent or ill, one answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from services.common.call_stats import CallStats
from services.common.database import Database
from services.common.logs import Log
from services.common.redis_store import RedisStore
from services.common.registry_client import Peer, Registration
from services.common.service import Service
from services.common.settings import from_environment
from services.order_service.product_client import TIMEOUT_S, Product, Products
from tests.support.gateway_parts import Behaviour, Upstream, always

_BODY = json.dumps({"products": [{"id": 1, "name": "a", "price_cents": 5, "stock": 2}]}).encode()
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY


def silent(request: bytes, connection: int, place: int) -> bytes:
    time.sleep(3 * TIMEOUT_S)
    return GOOD


@pytest.fixture
def upstream() -> Iterator[Callable[[Behaviour], int]]:
    made: list[Upstream] = []

    def start(behaviour: Behaviour) -> int:
        made.append(Upstream(behaviour))
        return made[-1].port

    yield start
    for up in made:
        up.close()


def products(*ports: int) -> Products:
    settings = from_environment("order-service", {"TWINSTACK_ADDRESS": "127.0.0.1"})
    log, calls = Log("order-service", "order-service", requests=False, fd=-1), CallStats()
    parts = (Database(settings, calls), RedisStore(settings, calls))
    registration = Registration(settings, log, calls)
    registration.peers = tuple(Peer(f"p-{port}", "127.0.0.1", port) for port in ports)
    return Products(registration, Service(settings, log, calls, *parts))


def test_an_instance_that_failed_rests_and_the_others_are_asked(upstream) -> None:
    catalogue = products(upstream(silent), upstream(always(GOOD)))
    began = time.monotonic()
    for _ in range(9):
        assert catalogue.catalogue("id") == {1: Product("a", 5, 2)}
    assert time.monotonic() - began < 2 * TIMEOUT_S


def test_an_instance_that_rested_is_asked_again(upstream, monkeypatch) -> None:
    monkeypatch.setattr("services.order_service.product_client.REST_S", 0.2)
    up = Upstream(always(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"))
    catalogue = products(up.port, upstream(always(GOOD)))
    for _ in range(4):
        catalogue.catalogue("id")
    assert len(up.requests) == 1
    time.sleep(0.25)
    for _ in range(2):
        catalogue.catalogue("id")
    assert len(up.requests) == 2
    up.close()

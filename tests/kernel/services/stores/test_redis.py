"""Redis as configured: a user for each service, carts that outlive a kill and are never evicted."""

from __future__ import annotations

import signal
import socket

import pytest

from bench.questions import causes
from services.common.call_stats import CallStats
from services.common.catalogue import LIST_KEY, keys_of_change, lease_key, product_key
from services.common.failures import DatabaseDown, RedisDown
from services.common.redis_store import RedisStore
from services.common.settings import from_environment
from services.order_service.carts import Carts
from services.product_service.cache import Cache
from tests.support.real_stores import PASSWORD, Stores
from twinstack.observe.redis import command_calls
from twinstack.software.secrets import OPERATOR
from twinstack.world import Endpoint

pytestmark = pytest.mark.kernel


def store_of(stores: Stores, service: str) -> RedisStore:
    return RedisStore(from_environment(service, stores.environment_of(service)), CallStats())


def fail() -> bytes:
    raise DatabaseDown("down")


def test_a_service_does_its_work_as_its_own_user(stores: Stores) -> None:
    product, order = store_of(stores, "product-service"), store_of(stores, "order-service")
    assert Cache(product, 30).read(LIST_KEY, lambda: b"x") == (b"x", "miss")
    assert Cache(product, 30).read(LIST_KEY, lambda: b"y") == (b"x", "hit")
    order.command(b"DEL", *keys_of_change([1]))
    assert product.get(LIST_KEY) is None
    absent, failing = product_key(99), product_key(98)
    assert Cache(product, 30).read(absent, lambda: None) == (None, "miss")
    assert Cache(product, 30).read(absent, lambda: b"x") == (None, "hit")
    with pytest.raises(DatabaseDown):
        Cache(product, 30).read(failing, fail)
    assert product.get(lease_key(failing)) is None


@pytest.mark.parametrize(
    ("service", "command"),
    [
        ("product-service", ("HGETALL", "cart:a")),
        ("product-service", ("GET", "cart:a")),
        ("product-service", ("DEL", "cart:a")),
        ("order-service", ("GET", "catalogue:list")),
        ("order-service", ("SET", "catalogue:list", "x")),
        ("order-service", ("HSET", "catalogue:product:1", "x", "y")),
        ("product-service", ("INFO",)),
        ("order-service", ("CLIENT", "TRACKING", "ON")),
        *(
            (service, tuple(command.split()))
            for service in ("product-service", "order-service")
            for command in (
                "FLUSHALL",
                "KEYS *",
                "SCAN 0",
                "CONFIG GET maxmemory",
                "CONFIG SET maxmemory 1",
                "ACL LIST",
                "SHUTDOWN",
                "SCRIPT FLUSH",
                "CLIENT LIST",
                "MONITOR",
                "REPLICAOF localhost 1",
                "SET naive:products x",
            )
        ),
    ],
)
def test_a_service_may_do_no_more(stores: Stores, service: str, command: tuple[str, ...]) -> None:
    with pytest.raises(RedisDown, match=r"(?i)no permissions"):
        store_of(stores, service).command(*command)


def test_a_stranger_may_only_ping(stores: Stores) -> None:
    with socket.create_connection(("127.0.0.1", stores.redis.port), timeout=3) as link:
        link.sendall(b"PING\r\nAUTH health none\r\nPING\r\nGET catalogue:list\r\n")
        answers = b""
        while answers.count(b"\r\n") < 4:
            answers += link.recv(1000)
    first, second, third, fourth = answers.split(b"\r\n")[:4]
    assert first.startswith(b"-NOAUTH")
    assert (second, third) == (b"+OK", b"+PONG")
    assert fourth.startswith(b"-NOPERM")


def test_the_benchmark_counts_commands_and_forgets_the_catalogue(stores: Stores) -> None:
    redis, product = Endpoint("127.0.0.1", stores.redis.port), store_of(stores, "product-service")
    assert command_calls(redis, OPERATOR + PASSWORD)["auth"] > 0
    Cache(product, 30).read(LIST_KEY, lambda: b"x")
    with causes.forgetting(redis, OPERATOR + PASSWORD, LIST_KEY.decode(), 0.01):
        while product.get(LIST_KEY) is not None:
            pass


def test_carts_outlive_a_kill(stores: Stores) -> None:
    carts = Carts(store_of(stores, "order-service"), 60)
    for number in range(300):
        carts.add(f"session-{number}", 3, 1 + number % 5)
    stores.redis.send(signal.SIGKILL)
    stores.redis.kill()
    stores.redis.start()
    carts = Carts(store_of(stores, "order-service"), 60)
    for number in range(300):
        assert carts.show(f"session-{number}").lines == {3: 1 + number % 5}

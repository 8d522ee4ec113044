"""What the services share: ids, settings, the breaker, logs, the cache, header rules."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api_gateway import messages, routes
from services.common.breaker import Breaker
from services.common.call_stats import CallStats
from services.common.catalogue import LIST_KEY, keys_of_change, lease_key
from services.common.failures import RedisDown
from services.common.logs import Log
from services.common.redis_store import RedisStore
from services.common.request_id import RequestIds
from services.common.settings import SettingError, from_environment
from services.product_service.cache import Cache

SCHEMA = Path(__file__).parents[4] / "services" / "stores" / "schema.sql"


def test_a_sane_request_id_is_kept() -> None:
    assert RequestIds().accept("abc-123.X:7") == "abc-123.X:7"


@pytest.mark.parametrize("given_id", [None, "", "a b", 'a"b', "x" * 129, "a\nb", "\u00e9", "-a"])
def test_any_other_request_id_is_replaced(given_id: str | None) -> None:
    assert RequestIds().accept(given_id) != given_id


def test_no_two_made_ids_are_alike() -> None:
    one, other = RequestIds(), RequestIds()
    made = [ids.make() for _ in range(500) for ids in (one, other)]
    assert len(set(made)) == 1000


def test_settings_have_the_contracts_defaults() -> None:
    settings = from_environment("order-service", {"TWINSTACK_ADDRESS": "10.0.0.40"})
    assert (settings.replica, settings.port) == ("order-service", 5000)
    assert settings.registry_url == "http://service-registry:8500"
    assert settings.log_requests


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "5000 "])
def test_a_bad_setting_is_named(port: str) -> None:
    with pytest.raises(SettingError, match="TWINSTACK_PORT"):
        from_environment("order-service", {"TWINSTACK_PORT": port, "TWINSTACK_ADDRESS": "::1"})


def test_a_secret_is_read_without_its_newline(tmp_path: Path) -> None:
    (tmp_path / "redis_password").write_text("s3cret\n")
    env = {"SECRETS_DIR": str(tmp_path), "TWINSTACK_ADDRESS": "::1"}
    settings = from_environment("order-service", env)
    assert settings.secret("redis_password") == "s3cret"
    assert settings.secret("postgres_password") == ""


def test_a_breaker_rests_after_a_failure_then_lets_one_try() -> None:
    now = [0.0]
    breaker = Breaker(1.0, lambda: now[0])
    assert breaker.allow()
    breaker.failed()
    assert not breaker.allow()
    now[0] = 1.0
    assert breaker.allow()
    assert not breaker.allow()
    breaker.succeeded()
    assert breaker.allow()
    assert breaker.allow()


def test_a_log_line_is_json_with_the_requests_id() -> None:
    read_end, write_end = os.pipe()
    log = Log("product-service", "product-service-2", fd=write_end)
    log.request("id-1", "GET", '/a"b', 200, 0.0015)
    log.flush()
    line = json.loads(os.read(read_end, 4096))
    assert line["request_id"] == "id-1"
    assert line["replica"] == "product-service-2"
    assert line["path"] == '/a"b'
    assert line["took_ms"] == 1.5
    os.close(write_end)
    os.close(read_end)


def test_request_logs_can_be_off() -> None:
    read_end, write_end = os.pipe()
    log = Log("product-service", "product-service", requests=False, fd=write_end)
    log.request("id-1", "GET", "/", 200, 0.1)
    log.flush()
    os.close(write_end)
    assert os.read(read_end, 4096) == b""
    os.close(read_end)


class FakeStore(RedisStore):
    """As much of Redis as the cache uses."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self.down = False

    def get(self, key: bytes) -> bytes | None:
        if self.down:
            raise RedisDown("down")
        return self.data.get(key)

    def command(self, *arguments):
        if self.down:
            raise RedisDown("down")
        _, key, value, *_ = arguments
        if key in self.data:
            return None
        self.data[key] = value
        return b"OK"

    def script(self, script, keys, values):
        if self.down:
            raise RedisDown("down")
        if self.data.get(keys[1]) != values[0]:
            return 0
        self.data[keys[0]] = values[1]
        del self.data[keys[1]]
        return 1


def test_the_cache_loads_once_then_passes_the_bytes_through() -> None:
    cache = Cache(FakeStore(), 30)
    assert cache.read(LIST_KEY, lambda: b"one") == (b"one", "miss")
    assert cache.read(LIST_KEY, lambda: b"two") == (b"one", "hit")


def test_the_cache_is_bypassed_when_redis_is_down() -> None:
    store = FakeStore()
    store.down = True
    assert Cache(store, 30).read(LIST_KEY, lambda: b"one") == (b"one", "bypass")


def test_what_does_not_exist_is_not_kept() -> None:
    cache = Cache(FakeStore(), 30)
    assert cache.read(LIST_KEY, lambda: None) == (None, "miss")


def test_data_read_before_a_change_is_not_kept_after_it() -> None:
    store = FakeStore()

    def load_while_somebody_orders() -> bytes:
        for key in keys_of_change([1]):
            store.data.pop(key, None)
        return b"old"

    assert Cache(store, 30).read(LIST_KEY, load_while_somebody_orders) == (b"old", "miss")
    assert LIST_KEY not in store.data


def test_whoever_comes_second_waits_for_the_first_ones_answer() -> None:
    store = FakeStore()
    store.data[lease_key(LIST_KEY)] = b"of another"

    def other_fills(_: float) -> None:
        store.data[LIST_KEY] = b"filled"

    cache = Cache(store, 30, sleep=other_fills)
    assert cache.read(LIST_KEY, lambda: b"mine") == (b"filled", "hit")


def test_whoever_waits_in_vain_reads_the_database() -> None:
    store = FakeStore()
    store.data[lease_key(LIST_KEY)] = b"of one that died"
    cache = Cache(store, 30, sleep=lambda _: None)
    assert cache.read(LIST_KEY, lambda: b"mine") == (b"mine", "miss")
    assert LIST_KEY not in store.data


def test_hop_by_hop_headers_and_those_they_name_stay_here() -> None:
    headers = [
        (b"host", b"shop"),
        (b"connection", b"close, X-Private"),
        (b"x-private", b"1"),
        (b"te", b"trailers"),
        (b"accept", b"*/*"),
        (b"x-forwarded-for", b"1.2.3.4"),
    ]
    data = messages.request_bytes("GET", b"/products", headers, b"id-1", "10.0.0.10", None)
    head = data.split(b"\r\n")
    assert head[0] == b"GET /products HTTP/1.1"
    assert sorted(head[1:-2]) == [
        b"accept: */*",
        b"host: shop",
        b"x-forwarded-for: 1.2.3.4, 10.0.0.10",
        b"x-request-id: id-1",
    ]


def test_a_chunked_request_goes_on_with_a_length() -> None:
    headers = [(b"transfer-encoding", b"chunked"), (b"host", b"shop")]
    data = messages.request_bytes("POST", b"/orders", headers, b"id", "::1", b"{}")
    assert data.endswith(b"content-length: 2\r\n\r\n{}")
    assert b"chunked" not in data


def test_an_answer_keeps_its_own_headers_and_gets_our_id() -> None:
    headers = [
        (b"Content-Type", b"application/json"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"keep-alive, X-Hop"),
        (b"X-Hop", b"1"),
        (b"X-Served-By", b"product-service-2"),
        (b"X-Request-ID", b"theirs"),
    ]
    assert messages.answer_headers(headers, b"ours", 200, b"{}") == [
        (b"content-type", b"application/json"),
        (b"x-served-by", b"product-service-2"),
        (b"content-length", b"2"),
        (b"x-request-id", b"ours"),
    ]


@given(st.binary(max_size=40))
def test_any_path_has_a_route_or_none(path: bytes) -> None:
    found = routes.find(b"/" + path)
    if found is not None:
        assert found[1].startswith((b"/products", b"/orders", b"/cart"))


@pytest.mark.parametrize(
    ("path", "upstream"),
    [
        (b"/api/products", b"/products"),
        (b"/api/products/7", b"/products/7"),
        (b"/api/orders/abc", b"/orders/abc"),
        (b"/api/cart", b"/cart"),
        (b"/api/products/", None),
        (b"/api/products/7/8", None),
        (b"/api/products/..", None),
        (b"/api/cart/1", None),
        (b"/api", None),
        (b"/", None),
    ],
)
def test_a_path_goes_to_its_service(path: bytes, upstream: bytes | None) -> None:
    found = routes.find(path)
    assert (found[1] if found else None) == upstream


def test_the_catalogue_has_at_least_24_products() -> None:
    rows = [line for line in SCHEMA.read_text().splitlines() if line.startswith("    (")]
    assert len(rows) >= 24


def test_what_is_asked_of_others_is_added_up_in_vain_or_not() -> None:
    asked = CallStats()

    def ask() -> None:
        for _ in range(200):
            with asked.timed("redis"):
                pass

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    with pytest.raises(RedisDown), asked.timed("redis"):
        raise RedisDown("gone")
    asked.add("postgres", 0.25)
    postgres, redis = asked.document()
    assert postgres == {"name": "postgres", "answers": 1, "failures": 0, "busy_s": 0.25}
    assert (redis["name"], redis["answers"], redis["failures"]) == ("redis", 800, 1)


def test_a_redis_that_is_away_is_counted_but_not_when_health_asks() -> None:
    asked = CallStats()
    env = {"TWINSTACK_ADDRESS": "127.0.0.1", "REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}
    never_rests = Breaker(0.0)  # else it would refuse what comes after the first failure
    store = RedisStore(from_environment("product-service", env), asked, never_rests)
    with pytest.raises(RedisDown):
        store.ping()
    assert asked.document() == []
    with pytest.raises(RedisDown):
        store.get(b"key")
    assert [(one["answers"], one["failures"]) for one in asked.document()] == [(0, 1)]

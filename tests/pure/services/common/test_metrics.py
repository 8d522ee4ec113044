"""GET /metrics of a Flask service: valid, whole, and for nobody outside."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from services.common.call_stats import POSTGRES, REDIS, REGISTRY, CallStats
from services.common.metrics import Metrics, is_requested, of_calls, of_counts, of_requests
from services.common.request_stats import Counts, RequestStats
from tests.support import scraped
from tests.support.registry_process import RegistryProcess, bearer
from tests.support.scraped import Scrape, ask, scrape


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    registry = RegistryProcess(tmp_path_factory.mktemp("registry"))
    yield registry
    registry.kill()


def test_the_registrys_metrics_are_valid_and_say_who_is_registered(
    registry: RegistryProcess,
) -> None:
    path = "/v1/services/product-service/product-service-2"
    here = {"address": "127.0.1.31", "port": 5000, "lease_s": 60}
    registry.call("PUT", path, here, "127.0.1.31", bearer("product-service"))
    for _ in range(3):
        registry.call("POST", f"{path}/heartbeat", None, "127.0.1.31", bearer("product-service"))
    registry.call("POST", f"{path}/heartbeat", None, "127.0.1.31")  # without its credential
    seen = scrape(registry.port)
    assert scraped.complaints(seen.text) == ""
    of = {"service": "product-service"}
    states = {state: seen.value("registry_instances", state=state, **of) for state in STATES}
    assert states == {"live": 1, "lapsed": 0, "left": 0}
    assert seen.value("registry_heartbeats_total") == 3
    assert seen.value("http_requests_total", method="POST", code="401") == 1
    assert (seen.value("process_start_time_seconds") or 0) > 1e9
    assert seen.samples("python_info")


STATES = ("live", "lapsed", "left")


def test_each_request_is_counted_once(registry: RegistryProcess) -> None:
    scraped.check_whole(registry.port, "/v1/services")


def test_health_and_metrics_are_not_counted(registry: RegistryProcess) -> None:
    before = scrape(registry.port)
    for path in ("/health", "/metrics"):
        for method in ("GET", "HEAD"):
            assert ask(registry.port, path, method).status == 200
    assert scrape(registry.port).samples("http_requests_total") == before.samples(
        "http_requests_total"
    )


def test_nobody_outside_gets_them(registry: RegistryProcess) -> None:
    scraped.check_hidden(registry.port)


def test_rubbish_makes_no_series_and_a_path_is_in_none(registry: RegistryProcess) -> None:
    ask(registry.port, "/a-path-of-mine", "RUBBISH1")
    before = scrape(registry.port)
    for number in range(50):
        ask(registry.port, f"/a-path-of-mine/{number}", f"RUBBISH{number}")
    after = scrape(registry.port)
    assert after.total("http_requests_total", method="other") >= 50
    assert len(after.text.splitlines()) == len(before.text.splitlines())
    assert "RUBBISH" not in after.text
    assert "a-path" not in after.text


def test_calls_to_stores_and_to_peers_are_families_of_their_own() -> None:
    calls = CallStats()
    calls.count(REDIS, 0.5, False)
    calls.count(REDIS, 0.25, True)
    calls.count(POSTGRES, 1.0, False)
    calls.count(REGISTRY, 2.0, True)
    strange = 'p"r\\o\nd'
    calls.count(strange, 0.0, False)
    counts = Counts("placed", "refused")
    counts.add("placed")
    orders = partial(of_counts, "orders_total", "Orders.", "outcome", counts)
    metrics = Metrics(1, partial(of_requests, RequestStats()), partial(of_calls, calls), orders)
    seen = Scrape(metrics.answer()[1].decode())
    assert scraped.complaints(seen.text) == ""
    assert seen.value("store_calls_total", store="redis", outcome="ok") == 1
    assert seen.value("store_calls_total", store="redis", outcome="failed") == 1
    assert seen.value("store_call_seconds_total", store="redis") == 0.75
    assert seen.value("peer_calls_total", peer="registry", outcome="failed") == 1
    assert seen.value("peer_calls_total", peer=strange, outcome="ok") == 1
    assert seen.total("store_calls_total") == 3
    assert seen.samples("orders_total") == [({"outcome": "placed"}, 1), ({"outcome": "refused"}, 0)]
    assert seen.value("http_request_duration_seconds_count") == 0


def test_only_a_reader_inside_asks_for_them() -> None:
    assert is_requested("GET", "/metrics", "127.0.0.1")
    assert is_requested("HEAD", b"/metrics", "127.0.0.1")
    assert not is_requested("POST", "/metrics", "127.0.0.1")
    assert not is_requested("GET", "/metrics/", "127.0.0.1")
    for client in ("10.0.0.10", "127.0.0.2", "", "unknown", "127.0.0.1, 10.0.0.10", "::1"):
        assert not is_requested("GET", "/metrics", client)


def test_the_exposition_is_what_promtool_would_refuse_when_it_is_broken() -> None:
    """promtool is really asked: it complains of a counter without _total, and of a bad line."""
    assert "_total" in scraped.complaints("# HELP a b\n# TYPE a counter\na 1\n")
    assert scraped.complaints("nonsense {\n")

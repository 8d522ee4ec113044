"""GET /metrics says what is known of each world, each thing once, and nothing of what is not."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from typing import Any

import pytest

from tests.support.bench_fakes import PLAN
from tests.support.metrics_cases import TEXT, document, down, labels, series, value
from twinstack.observe.live.feed import Feed
from twinstack.observe.metrics import exposition
from twinstack.observe.metrics.exposition import Exposition, scrape_timeout_s
from twinstack.observe.metrics.families import OWN

PYTHON = [replica.name for replica in PLAN.replicas if replica.runtime in {"asgi", "wsgi"}]


def text(*documents: dict[str, Any], body: bytes = TEXT) -> str:
    return asked(lambda targets, within_s: dict.fromkeys(targets, body), *documents)().decode()


def asked(ask: exposition.Ask, *documents: dict[str, Any]) -> Exposition:
    feed = Feed(("net", "docker"))
    for each in documents:
        feed.take(each["world"], json.dumps(each).encode())
    return Exposition(feed, "nobodys", ask)


def test_every_family_is_there_and_each_series_once() -> None:
    found = text(document(at=time.time()), document("docker", at=time.time()))
    names = {name for name, _ in series(found)}
    drops = {"twinstack_policy_drops_total"}  # no such chain here
    assert {family.name for family in OWN} - drops <= names
    assert value(found, "twinstack_conntrack_entries") == 50  # once: both worlds share the host's


def test_values_are_those_of_the_sample() -> None:
    found = text(document(at=time.time()))
    redis = labels("redis-cache")
    expected = {
        "up": 1,
        "degraded": 0,
        "restarts_total": 2,
        "cpu_seconds_total": 5.25,
        "cpu_limit_cores": 1,
        "cpu_periods_total": 40,
        "cpu_throttled_periods_total": 3,
        "cpu_throttled_seconds_total": 1.5,
        "memory_bytes": 9_000_000,
        "memory_limit_bytes": 64_000_000,
        "pids": 5,
        "pids_limit": 32,
        "network_receive_bytes_total": 500,
        "network_transmit_bytes_total": 600,
        "start_time_seconds": 1_700_000_000,
        "probe_duration_seconds": 0.001,
    }
    shown = {name: value(found, f"twinstack_replica_{name}", **redis) for name in expected}
    assert shown == expected
    assert value(found, "twinstack_edge_requests_total", world="net") == 77
    second = labels("product-service-2", "product-service")
    assert value(found, "http_requests_total", method="GET", code="200", **second) == 5
    assert value(found, "twinstack_replica_metrics_up", **second) == 1
    assert value(found, "twinstack_replica_metrics_up", **redis) is None  # it has none


def test_what_is_not_known_is_absent() -> None:
    found = text(document(at=time.time(), usage={}, conntrack=None, requests={}))
    assert "NaN" not in found
    names = {name for name, _ in series(found)}
    assert "twinstack_replica_up" in names
    for absent in ("replica_cpu_seconds_total", "replica_pids", "conntrack_entries"):
        assert f"twinstack_{absent}" not in names
    assert "twinstack_edge_requests_total" not in names


def test_a_world_that_is_down_is_0_and_one_that_is_unknown_or_silent_is_absent() -> None:
    now = time.time()
    found = text(down("net", now), down("docker", now, "the engine does not answer"))
    assert value(found, "twinstack_world_up", world="net") == 0
    assert value(found, "twinstack_world_up", world="docker") is None
    silent = text(document(at=now - exposition.STALE_S - 1))
    assert "twinstack_replica_up{" not in silent
    assert "twinstack_world_up{" not in silent


def test_a_sample_from_before_the_clock_was_set_back_is_no_knowledge() -> None:
    found = text(document(at=time.time() + 3600))
    assert "twinstack_world_up{" not in found


def test_a_replica_that_is_scaled_away_disappears() -> None:
    full = document(at=time.time())
    fewer = {
        **full,
        "replicas": [each for each in full["replicas"] if each["name"] != "product-service-3"],
    }
    assert "product-service-3" in text(full)
    assert "product-service-3" not in text(full, fewer)


def test_only_those_that_serve_are_asked_and_a_silent_one_is_reported() -> None:
    frozen = document(at=time.time())
    for replica in frozen["replicas"]:
        if replica["name"] == "order-service":
            replica["state"] = "down"
    asked_for: list[str] = []

    def ask(targets: Any, within_s: float) -> dict[tuple[str, str], bytes]:
        asked_for.extend(name for _, name in targets)
        return {key: TEXT for key in targets if key[1] != "api-gateway"}

    found = asked(ask, frozen)().decode()
    assert sorted(asked_for) == sorted(set(PYTHON) - {"order-service"})
    for name in ("order-service", "api-gateway"):
        assert value(found, "twinstack_replica_metrics_up", **labels(name)) == 0
    assert value(found, "twinstack_replica_metrics_up", **labels("product-service")) == 1


def test_rubbish_of_one_service_costs_no_other_series() -> None:
    found = text(document(at=time.time()), body=b"<html>")
    assert value(found, "twinstack_replica_metrics_up", **labels("api-gateway")) == 0
    assert value(found, "twinstack_replica_up", **labels("api-gateway")) == 1


def test_many_at_once_ask_the_services_once() -> None:
    times: list[float] = []

    def ask(targets: Any, within_s: float) -> dict[tuple[str, str], bytes]:
        times.append(within_s)
        time.sleep(0.05)
        return {}

    exposed, texts = asked(ask, document(at=time.time())), []
    threads = [threading.Thread(target=lambda: texts.append(exposed(1.0))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(texts)) == 1
    assert times == [0.5]  # half of what the scrape may take


@pytest.mark.parametrize(
    ("header", "found"), [("", None), ("x", None), ("nan", None), ("inf", None), ("1.5", 1.5)]
)
def test_the_scrapes_timeout_is_read_from_its_header(header: str, found: float | None) -> None:
    assert scrape_timeout_s(header) == found


def test_promtool_finds_nothing_to_say() -> None:
    found = text(document(at=time.time()), document("docker", at=time.time()))
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=found, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")

"""GET /metrics of the gateway: valid, whole, with its upstreams, and for nobody outside."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

from tests.support import scraped
from tests.support.gateway_parts import OK, always, closed_port
from tests.support.scraped import ask, scrape

ERROR = b"HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n"
FIRST = {"service": "product-service", "upstream": "p-1"}


def test_the_gateways_metrics_are_valid_and_say_how_each_upstream_does(gateway, upstream):
    upstream(always(OK))
    for path in ("/api/products", "/api/products/3"):
        assert gateway.call("GET", path)[0] == 200
    seen = scrape(gateway.port)
    assert scraped.complaints(seen.text) == ""
    requests = "gateway_upstream_requests_total"
    outcomes = {name: seen.value(requests, outcome=name, **FIRST) for name in OUTCOMES}
    assert outcomes == {"ok": 2, "error": 0, "failed": 0}
    assert 0 < (seen.value("gateway_upstream_seconds_total", **FIRST) or 0) < 1
    assert seen.value("gateway_upstream_shunned", **FIRST) == 0
    assert seen.value("gateway_in_flight") == 0
    assert (seen.value("peer_calls_total", peer="registry", outcome="failed") or 0) > 0
    assert seen.samples("python_info")


OUTCOMES = ("ok", "error", "failed")


def test_errors_retries_and_ejection_are_seen(gateway, upstream):
    before = scrape(gateway.port).total("gateway_retries_total", service="product-service")
    upstream(always(ERROR))
    upstream(always(OK))
    for _ in range(2):
        assert gateway.call("GET", "/api/products")[0] == 200
    seen = scrape(gateway.port)
    outcomes = [seen.value("gateway_upstream_requests_total", outcome=o, **FIRST) for o in OUTCOMES]
    assert outcomes == [0, 1, 0]
    assert seen.value("gateway_retries_total", service="product-service") == before + 1
    gateway.know(closed_port())
    assert gateway.call("GET", "/api/products")[0] == 502
    seen = scrape(gateway.port)
    assert (seen.value("gateway_upstream_requests_total", outcome="failed", **FIRST) or 0) > 0
    assert seen.value("gateway_upstream_shunned", **FIRST) == 1
    gateway.know()


def test_an_instance_that_moved_is_one_series(gateway):
    ports = [closed_port(), closed_port()]
    instances = [
        {"instance": "p-1", "address": address, "port": port}
        for address, port in zip(("127.0.0.1", "127.0.0.3"), ports, strict=True)
    ]
    directory = gateway.gateway.directory
    directory.learn(json.dumps({"services": {"product-service": instances}}).encode())
    rotation = directory.rotations["product-service"]
    assert len(rotation.upstreams) == 2
    for each in rotation.upstreams:
        each.answers += 2
    seen = scrape(gateway.port)
    assert scraped.complaints(seen.text) == ""
    assert seen.value("gateway_upstream_requests_total", outcome="ok", **FIRST) == 4
    gateway.know()


def test_requests_under_way_are_counted_without_the_scrape(gateway, slow):
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(gateway.call, "GET", "/api/products") for _ in range(3)]
        time.sleep(0.05)
        assert scrape(gateway.port).value("gateway_in_flight") == 3
        assert [answer.result()[0] for answer in waiting] == [200, 200, 200]


def test_each_request_is_counted_once(gateway, upstream):
    upstream(always(OK))
    scraped.check_whole(gateway.port, "/api/products")
    scraped.check_whole(gateway.port, "/nowhere", code="404")


def test_health_and_what_is_only_for_inside_are_not_counted(gateway):
    before = scrape(gateway.port).samples("http_requests_total")
    for path in ("/health", "/internal/counts"):
        ask(gateway.port, path)
    scraped.at_once(gateway.port, "/metrics", 1_000)
    assert scrape(gateway.port).samples("http_requests_total") == before


def test_nobody_outside_gets_them(gateway):
    scraped.check_hidden(gateway.port)


def test_no_upstream_is_asked_for_its_metrics(gateway, upstream):
    """An instance on loopback would take the gateway for somebody inside."""
    product = upstream(always(OK))
    for path in (
        "/api/metrics",
        "/api/products/../metrics",
        "/api/products/..%2Fmetrics",
        "/api/products/%2e%2e/metrics",
        "/api//metrics",
        "/api/products//metrics",
        "/api/products/..;/metrics",
    ):
        answer = gateway.raw(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        assert b"http_requests" not in answer
    asked = {request.split(b" ")[1] for request in product.requests}
    assert not any(path.partition(b"?")[0].rstrip(b"/") == b"/metrics" for path in asked)
    assert asked <= {b"/products/..%2Fmetrics", b"/products/..;"}


def test_rubbish_makes_no_series_and_a_path_is_in_none(gateway):
    ask(gateway.port, "/a-path-of-mine", "RUBBISH")
    before = scrape(gateway.port)
    for method in ("RUBBISH", "Get", "PROPFIND", "M-SEARCH", "SOURCE"):
        for number in range(10):
            gateway.raw(
                f"{method} /a-path-of-mine/{number} HTTP/1.1\r\nHost: x\r\n"
                "Connection: close\r\n\r\n".encode()
            )
    after = scrape(gateway.port)
    assert {labels["method"] for labels, _ in after.samples("http_requests_total")} <= {
        *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
        "other",
    }
    assert "a-path" not in after.text
    assert len(after.text.splitlines()) <= len(before.text.splitlines()) + 2

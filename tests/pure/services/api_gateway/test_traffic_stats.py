"""What the gateway counts: answers by status and by instance, shown only to clients inside."""

from __future__ import annotations

import json
from typing import Any

from services.api_gateway import traffic_stats
from tests.support.gateway_parts import OK, Running, always, closed_port


def counts_of(gateway: Running) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(gateway.call("GET", "/internal/counts")[2])
    return document


def test_answers_are_counted_by_status_and_by_instance(gateway, upstream):
    upstream(always(OK))
    before = counts_of(gateway)
    for path in ("/api/products", "/api/products", "/nowhere", "/health"):
        gateway.call("GET", path)
    after = counts_of(gateway)
    new = {
        status: after["statuses"][status] - count for status, count in before["statuses"].items()
    }
    assert new == {"1xx": 0, "2xx": 2, "3xx": 0, "4xx": 1, "5xx": 0}
    assert after["busy_s"] > before["busy_s"]
    product = next(
        upstream for upstream in after["upstreams"] if upstream["service"] == "product-service"
    )
    assert (product["answers"], product["failures"], product["shunned"]) == (2, 0, False)
    assert 0 < product["busy_s"] < 1


def test_an_instance_that_refuses_is_counted_as_ejected(gateway):
    gateway.know(closed_port())
    assert gateway.call("GET", "/api/products")[0] == 502
    product = counts_of(gateway)["upstreams"][0]
    assert (product["answers"], product["failures"] > 0, product["shunned"]) == (0, True, True)
    gateway.know()


def test_answers_of_500_and_more_are_counted_as_an_instances_errors(gateway, upstream):
    upstream(always(b"HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n"))
    assert gateway.call("GET", "/api/products")[0] == 500
    product = counts_of(gateway)["upstreams"][0]
    assert (product["answers"], product["errors"]) == (1, 1)


def test_counts_are_told_to_nobody_who_comes_from_elsewhere():
    assert traffic_stats.is_requested(traffic_stats.PATH, "127.0.0.1")
    assert not traffic_stats.is_requested(traffic_stats.PATH, "10.0.0.10")
    assert not traffic_stats.is_requested(traffic_stats.PATH, "unknown")
    assert not traffic_stats.is_requested(b"/health", "127.0.0.1")

"""What a replica's /metrics says, read by prometheus_client's own parser and judged by promtool."""

from __future__ import annotations

import http.client
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Response:
    """A response, whole."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    port: int,
    path: str = "/metrics",
    method: str = "GET",
    source: str = "127.0.0.1",
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 20,
) -> Response:
    """Send a request from an address of our choice."""
    link = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=timeout_s, source_address=(source, 0)
    )
    with closing(link):
        link.request(method, path, headers=dict(headers or {}))
        answer = link.getresponse()
        got = {name.lower(): value for name, value in answer.getheaders()}
        return Response(answer.status, got, answer.read())


@dataclass(frozen=True)
class Scrape:
    """An exposition's text, and its samples."""

    text: str

    def value(self, name: str, **labels: str) -> float | None:
        """Give one sample; None where there is none."""
        found = [value for labelled, value in self.samples(name) if labelled == labels]
        assert len(found) < 2, f"{name} {labels}: twice"
        return found[0] if found else None

    def total(self, name: str, **labels: str) -> float:
        """Add up the samples that have at least these labels."""
        return sum(
            value for labelled, value in self.samples(name) if labels.items() <= labelled.items()
        )

    def samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        return [
            (sample.labels, sample.value)
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
            if sample.name == name
        ]


def scrape(port: int) -> Scrape:
    answer = ask(port)
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Scrape(answer.body.decode())


def complaints(text: str) -> str:
    """Give what promtool has to say against an exposition; "" for nothing."""
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    return said if said or done.returncode == 0 else f"exit code {done.returncode}"


def at_once(port: int, path: str, requests: int, connections: int = 8) -> None:
    """Send so many requests by so many connections, all at the same time."""

    def send(_: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as link:
            for _ in range(requests // connections):
                link.request("GET", path)
                link.getresponse().read()

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(send, range(connections)))


def check_whole(port: int, path: str, code: str = "200", requests: int = 800) -> None:
    """Check that a replica counts each of many requests, once."""
    before = scrape(port)
    at_once(port, path, requests)
    after = scrape(port)

    def new(name: str, **labels: str) -> float:
        return after.total(name, **labels) - before.total(name, **labels)

    # The registry and the gateways ask too, but not for this.
    assert new("http_requests_total", method="GET", code=code) == requests
    assert new("http_request_duration_seconds_count") == new("http_requests_total")
    assert new("http_request_duration_seconds_bucket", le="+Inf") == new("http_requests_total")
    assert 0 < new("http_request_duration_seconds_sum") < requests


def check_hidden(port: int) -> None:
    """Check that nobody outside gets the metrics, nor anybody by another method."""
    missing = ask(port, "/nowhere").status
    assert missing == 404
    for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}):
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            hidden = ask(port, method=method, source="127.0.0.2", headers=headers)
            plain = ask(port, "/metricz", method, "127.0.0.2", headers)
            assert (hidden.status, b"http_requests" in hidden.body) == (404, False)
            assert hidden.headers.keys() == plain.headers.keys()
    head, get = ask(port, method="HEAD"), ask(port)
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 1000
    assert int(get.headers["content-length"]) == len(get.body)
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "get"):
        other = ask(port, method=method)
        assert (other.status in {400, 404}, b"http_requests" in other.body) == (True, False)
    for path in ("/metrics/", "//metrics", "/metrics/x", "/METRICS"):
        assert ask(port, path).status == 404

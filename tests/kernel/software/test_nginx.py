"""nginx with our configuration before real gateways: what it refuses, and what reaches them."""

from __future__ import annotations

import errno
import http.client
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from services.api_gateway import intake
from services.common.problems import problem
from tests.support.edge_parts import edge_before
from tests.support.gateway_parts import OK, Running, Upstream, always, closed_port, error_of
from twinstack.model.runtimes import BODY_MAX_BYTES

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="starts nginx as another user: needs root"),
]
HEAD = b"POST /api/orders HTTP/1.1\r\nHost: x\r\n"
CLOSE = b"Connection: close\r\n"


@dataclass(frozen=True)
class Edge:
    """nginx, two gateways behind it, and their only upstream."""

    port: int
    gateways: tuple[Running, Running]
    upstream: Upstream

    def raw(self, data: bytes, wait_s: float = 5.0) -> bytes:
        """Send bytes, give all that comes until nginx closes."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=wait_s)) as link:
            link.sendall(data)
            got = b""
            while part := link.recv(65536):
                got += part
            return got

    def call(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None) -> int:
        """Make a request on a connection of its own; the status of its answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as link:
            link.request(method, path, body)
            answer = link.getresponse()
            json.loads(answer.read())
            return answer.status


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    upstream = Upstream(always(OK))
    gateways = (Running(max_body_bytes=BODY_MAX_BYTES), Running(max_body_bytes=BODY_MAX_BYTES))
    try:
        for gateway in gateways:
            gateway.know(upstream.port)
        with edge_before(*(gateway.port for gateway in gateways)) as port:
            yield Edge(port, gateways, upstream)
    finally:
        for gateway in gateways:
            gateway.close()
        upstream.close()


def statuses(got: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)]


@pytest.mark.parametrize("size", [BODY_MAX_BYTES + 1, 300_000, 900_000])
def test_a_body_past_the_limit_is_a_413_each_time_and_reaches_no_gateway(edge: Edge, size: int):
    before = len(edge.upstream.requests)
    for _ in range(20):
        with closing(http.client.HTTPConnection("127.0.0.1", edge.port, timeout=5)) as link:
            link.request("POST", "/api/orders", b"x" * size)
            answer = link.getresponse()
            assert (answer.status, error_of(answer.read())) == (413, "body_too_large")
    assert len(edge.upstream.requests) == before


def test_a_chunked_body_past_the_limit_is_a_413_each_time(edge: Edge):
    for _ in range(20):
        assert edge.call("POST", "/api/orders", iter([b"x" * 30_000] * 10)) == 413


def test_a_client_with_large_bodies_takes_no_answer_from_others(edge: Edge):
    ended = threading.Event()

    def flood() -> None:
        while not ended.wait(0.02):
            edge.call("POST", "/api/orders", b"x" * 900_000)
            edge.call("POST", "/api/orders", iter([b"x" * 30_000] * 10))

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        answers = [edge.call("GET", "/api/products") for _ in range(240)]
    finally:
        ended.set()
        flooding.join()
    assert answers == [200] * 240


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_arrives_whole_and_once(edge: Edge, chunked: bool):
    body = b'{"a":"' + b"x" * (BODY_MAX_BYTES - 10) + b'"}'
    before = len(edge.upstream.requests)
    for _ in range(10):
        assert edge.call("POST", "/api/orders", iter([body]) if chunked else body) == 200
    arrived = edge.upstream.requests[before:]
    assert [request.partition(b"\r\n\r\n")[2] == body for request in arrived] == [True] * 10


@pytest.mark.parametrize(
    ("data", "status", "error"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "not_http"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "not_http"),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "not_http"),
        (b"junk\r\n\r\n", 400, "not_http"),
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "not_http"),
        (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "not_http"),
        (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed"),
        (HEAD + b"Content-Length: 65537\r\nExpect: 100-continue\r\n\r\n", 413, "body_too_large"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 9000, 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: %s\r\n" % (b"x" * 2000) * 10, 431, None),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501, "not_implemented"),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, "http_version"),
    ],
)
def test_what_nginx_refuses_is_a_problem_as_the_services_write_it(edge: Edge, data, status, error):
    got = edge.raw(data.removesuffix(b"\r\n\r\n") + b"\r\n\r\n")
    assert statuses(got) == [status]
    head, _, body = got.partition(b"\r\n\r\n")
    error = error or "headers_too_large"
    document = json.loads(body)
    expected = problem(status, error, document["message"], document["request_id"])
    assert document == expected | {"title": document["message"]}
    assert b"content-type: application/problem+json" in head.lower()
    assert b"cache-control: no-store" in head.lower()
    assert b"x-request-id: " + document["request_id"].encode() in head.lower()
    assert (b"\r\nallow: get, head, post, put, delete" in head.lower()) == (status == 405)
    assert b"<" not in body


def test_http_0_9_reaches_no_gateway(edge: Edge):
    got = edge.raw(b"GET /health HTTP/0.9\r\nHost: x\r\n\r\n")
    assert b'"error":"' in got
    assert b'"service"' not in got


def test_a_gateway_that_is_away_is_a_502_in_json():
    with edge_before(closed_port()) as port:
        edge = Edge(port, (None, None), None)  # type: ignore[arg-type]
        got = edge.raw(b"GET /api/products HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n")
        assert statuses(got) == [502]
        assert error_of(got.partition(b"\r\n\r\n")[2]) == "gateway_failed"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_slow_body_ends_though_a_byte_comes_now_and_then(edge: Edge, monkeypatch, chunked: bool):
    monkeypatch.setattr(intake, "BODY_GRACE_S", 0.5)
    kind = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: 900\r\n\r\n"
    began, got = time.monotonic(), b""
    with closing(socket.create_connection(("127.0.0.1", edge.port), timeout=0.1)) as link:
        link.sendall(HEAD + kind)
        while not got and time.monotonic() - began < 8:
            try:
                got = link.recv(10_000)
            except TimeoutError:
                link.sendall(b"1\r\nx\r\n" if chunked else b"x")
    assert statuses(got) == [408]
    assert time.monotonic() - began < 3


def test_an_upgrade_leaves_the_body_alone(edge: Edge):
    up = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    with closing(socket.create_connection(("127.0.0.1", edge.port), timeout=2)) as link:
        link.sendall(HEAD + up + b"Content-Length: 2\r\n\r\n[]")
        assert statuses(link.recv(10_000)) == [200]
    assert edge.upstream.requests[-1].endswith(b"\r\n\r\n[]")


def test_a_client_may_not_choose_its_address(edge: Edge):
    head = b"GET /api/products HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\n"
    edge.raw(head + CLOSE + b"\r\n")
    assert b"6.6.6.6" not in edge.upstream.requests[-1]
    assert b"\r\nx-forwarded-for: 127.0.0.1, 127.0.0.1\r\n" in edge.upstream.requests[-1]


def ask_many(port: int, count: int, address: str = "127.0.0.9") -> list[bytes]:
    """Send requests of one client address on one kept connection; give the answers."""
    request = b"GET /api/products HTTP/1.1\r\nHost: x\r\n"
    source = (address, 0)
    with closing(socket.create_connection(("127.0.0.1", port), 5, source_address=source)) as link:
        link.sendall((request + b"\r\n") * (count - 1) + request + CLOSE + b"\r\n")
        got = b""
        while part := link.recv(65536):
            got += part
    return re.split(rb"(?=HTTP/1\.1 \d{3} )", got)[1:]


def test_one_client_address_has_so_many_requests_on_whatever_connections_and_others_theirs(
    edge: Edge,
):
    before = len(edge.upstream.requests)
    lower = (("rate=1000r/s", "rate=1r/s"), ("burst=2000", "burst=9"))
    with edge_before(*(gateway.port for gateway in edge.gateways), edits=lower) as port:
        answers = ask_many(port, 40) + ask_many(port, 10)
        ours, others = ask_many(port, 40, "127.0.0.1"), ask_many(port, 10, "127.0.0.10")
    assert statuses(b"".join(answers))[:10] == [200] * 10
    refused = [answer for answer in answers if b" 429 " in answer]
    assert len(refused) >= 35
    assert {error_of(answer.partition(b"\r\n\r\n")[2]) for answer in refused} == {
        "too_many_requests"
    }
    assert all(b"\r\nRetry-After: 1\r\n" in answer for answer in refused)
    assert statuses(b"".join(ours)) == [200] * 40  # the probe's and this host's are not counted
    assert statuses(b"".join(others)) == [200] * 10
    assert len(edge.upstream.requests) - before == 100 - len(refused)


@pytest.mark.parametrize("reads_bytes", [0, 1], ids=["stopped", "trickling"])
def test_a_client_that_does_not_read_its_answers_is_reset(reads_bytes: int):
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + b"x" * 3000
    upstream, gateway = Upstream(always(long)), Running()
    gateway.know(upstream.port)
    shorter = (("send_timeout 10s", "send_timeout 1s"),)
    with edge_before(gateway.port, edits=shorter) as port, closing(socket.socket()) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        link.connect(("127.0.0.1", port))
        link.sendall(b"GET /api/products HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        began, ended = time.monotonic(), False
        while not ended and time.monotonic() - began < 6:
            time.sleep(0.1)
            ended = link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
            if not ended and reads_bytes:
                link.recv(reads_bytes)
    gateway.close()
    upstream.close()
    assert ended

"""The gateway's own port before clients that send what is no request, too much, or too slowly."""

from __future__ import annotations

import gc
import http.client
import json
import socket
import time
from collections import Counter
from contextlib import closing, suppress

import pytest

from services.api_gateway import server
from services.api_gateway.eager import Pending
from services.api_gateway.parsing import RequestParser
from services.api_gateway.request import ClientRequest
from tests.support.gateway_parts import (
    HEAD,
    OK,
    PLACE,
    Running,
    Upstream,
    all_of,
    always,
    client_of,
    error_of,
    last_error,
    statuses,
)
from tests.support.sandbox import eventually


@pytest.mark.parametrize("size", [2001, 300_000, 900_000])
def test_a_refused_body_is_read_on_so_that_its_answer_arrives(gateway, upstream, size):
    upstream(always(OK))
    for _ in range(20):
        with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)) as link:
            link.request("POST", "/api/orders", b"x" * size)
            answer = link.getresponse()
            assert (answer.status, error_of(answer.read())) == (413, "body_too_large")


@pytest.mark.parametrize(
    "junk", [b"junk\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"]
)
@pytest.mark.parametrize("at_once", [True, False])
def test_junk_after_a_request_does_not_take_its_answer(gateway, slow, junk, at_once):
    with client_of(gateway) as link:
        link.sendall(PLACE + (junk if at_once else b""))
        if not at_once:
            time.sleep(0.05)
            link.sendall(junk)
        got = all_of(link)
    assert statuses(got) == [200, 400]
    assert last_error(got) == "not_http"
    assert len(slow.requests) == 1


def test_junk_after_pipelined_requests_takes_no_answer(gateway, slow):
    with client_of(gateway) as link:
        link.sendall(PLACE + PLACE + PLACE + b"junk\r\n\r\n")
        assert statuses(all_of(link)) == [200, 200, 200, 400]


def test_what_follows_a_last_request_is_lost_and_its_answer_is_not(gateway, slow):
    last = HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"
    for rest in (b"junk", PLACE):
        slow.requests.clear()
        with client_of(gateway) as link:
            link.sendall(last)
            time.sleep(0.05)
            link.sendall(rest * 1000)
            assert statuses(all_of(link)) == [200]
        assert len(slow.requests) == 1


@pytest.mark.parametrize("before", [b"", PLACE])
def test_a_body_that_breaks_off_in_junk_is_no_body(gateway, slow, before):
    with client_of(gateway) as link:
        link.sendall(before + HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\njunk\r\n")
        assert statuses(all_of(link)) == ([200, 400] if before else [400])
    assert len(slow.requests) == (1 if before else 0)


def test_a_client_that_has_sent_all_it_will_gets_its_answer(gateway, slow):
    with client_of(gateway) as link:
        link.sendall(PLACE)
        link.shutdown(socket.SHUT_WR)
        assert statuses(all_of(link)) == [200]


@pytest.mark.parametrize(
    "upgrade",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        b"Connection: upgrade\r\nUpgrade: TLS/1.0\r\n",
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_an_upgrade_is_ignored_and_its_body_is_not(gateway, upstream, upgrade, at_once):
    up = upstream(always(OK))
    with client_of(gateway) as link:
        head = HEAD + upgrade + b"Content-Length: 2\r\n\r\n"
        link.sendall(head + (b"[]" + PLACE if at_once else b""))
        if not at_once:
            time.sleep(0.05)
            link.sendall(b"[]" + PLACE)
        time.sleep(0.2)
        link.shutdown(socket.SHUT_WR)
        assert statuses(all_of(link)) == [200, 200]
    assert [request.rpartition(b"\r\n\r\n")[2] for request in up.requests] == [b"[]", b"{}"]
    assert b"upgrade" not in up.requests[0].lower()


@pytest.mark.parametrize("target", [b"http://", b"http://x", b"*", b"x:80"])
def test_a_target_that_is_none_gets_an_answer(gateway, target):
    got = gateway.raw(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target)
    assert statuses(got) in ([400], [404])


@pytest.mark.parametrize(
    "target", [b"/api/products/%s" % junk for junk in (b"<", b">", b"`", b"?<", b"?>", b'?"')]
)
def test_a_target_that_an_instance_would_refuse_without_a_word_reaches_none(
    gateway, upstream, target
):
    up = upstream(always(OK))
    got = gateway.raw(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target)
    assert (statuses(got), last_error(got)) == ([400], "not_http")
    assert up.requests == []


def test_a_tunnel_is_a_501(gateway):
    got = gateway.raw(b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n")
    assert (statuses(got), last_error(got)) == ([501], "no_tunnel")


def test_trailers_are_no_headers(gateway, upstream):
    up = upstream(always(OK))
    trailers = b"Host: evil\r\nX-Session-ID: 0123456789abcdef\r\nIdempotency-Key: k\r\n"
    got = gateway.raw(
        HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\n{}\r\n0\r\n" + trailers + b"\r\n"
    )
    assert statuses(got) == [200]
    assert up.requests[0].endswith(b"content-length: 2\r\n\r\n{}")
    for word in (b"evil", b"session", b"idempotency"):
        assert word not in up.requests[0].lower()


@pytest.mark.parametrize(
    ("head", "status", "error"),
    [
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 33_000, 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: 1\r\n" * 81, 431, "headers_too_large"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_too_large_a_head_is_refused(gateway, head, status, error, at_once):
    data = head.removesuffix(b"\r\n\r\n") + b"\r\n\r\n"
    with client_of(gateway) as link:
        for part in [data] if at_once else [data[:100], data[100:5000], data[5000:]]:
            link.sendall(part)
            time.sleep(0.02)
        got = all_of(link)
    assert (statuses(got), last_error(got)) == ([status], error)


def test_a_head_without_an_end_is_refused_by_its_size(gateway):
    with client_of(gateway) as link:
        link.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
        for _ in range(30):
            time.sleep(0.01)
            link.sendall(b"x" * 4096)
        got = all_of(link)
    assert (statuses(got), last_error(got)) == ([431], "headers_too_large")


def test_many_small_requests_at_once_are_no_large_head(gateway, upstream):
    upstream(always(OK))
    one = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with client_of(gateway) as link:
        link.sendall(one * 2000 + one[:10])
        time.sleep(1)
        link.sendall(one[10:])
        link.shutdown(socket.SHUT_WR)
        assert len(statuses(all_of(link))) == 2001


def host(*values: bytes, version: bytes = b"1.1") -> bytes:
    lines = b"".join(b"Host: %s\r\n" % value for value in values)
    return b"GET /health HTTP/%s\r\n%sConnection: close\r\n\r\n" % (version, lines)


@pytest.mark.parametrize(
    "head",
    [
        host(),
        host(b"a", b"b"),
        host(b"a", b"a"),
        host(b""),
        host(b"a b"),
        host(b"a/b"),
        host(b"a@b"),
    ]
    + [host(b"a", b"a", version=b"1.0"), host(b"a:b"), host(b"[::1"), host(b"\xff")],
)
def test_a_host_that_is_missing_double_or_invalid_is_a_400(gateway, head):
    got = gateway.raw(head)
    assert (statuses(got), last_error(got)) == ([400], "bad_host")


@pytest.mark.parametrize(
    "head",
    [host(b"shop.example:8080"), host(b"[::1]:80"), host(b"10.0.0.10"), host(version=b"1.0")],
)
def test_a_good_host_is_taken(gateway, upstream, head):
    upstream(always(OK))
    assert statuses(gateway.raw(head)) == [200]


@pytest.mark.parametrize("version", [b"2.0", b"0.9"])
def test_another_version_is_a_505(gateway, version):
    got = gateway.raw(host(b"x", version=version))
    assert (statuses(got), last_error(got)) == ([505], "http_version")


@pytest.mark.parametrize(
    ("version", "codings", "expected"),
    [
        (b"1.1", [b"gzip, chunked"], 501),
        (b"1.1", [b"chunked", b"chunked"], 400),
        (b"1.0", [b"chunked"], 400),
        (b"1.1", [b"Chunked"], 200),
        (b"1.1", [b"chunked "], 200),
    ],
)
def test_a_transfer_coding_but_chunked_is_refused(gateway, upstream, version, codings, expected):
    up = upstream(always(OK))
    lines = b"".join(b"Transfer-Encoding: %s\r\n" % coding for coding in codings)
    head = HEAD.replace(b"1.1", version) + lines + b"Connection: close\r\n\r\n"
    got = gateway.raw(head + b"2\r\n{}\r\n0\r\n\r\n")
    assert statuses(got)[0] == expected
    assert len(up.requests) == (expected == 200)


def test_the_gateways_own_answers_are_not_kept_by_caches(gateway):
    for path in ("/nope", "/health"):
        assert gateway.call("GET", path)[1]["cache-control"] == "no-store"
    assert json.loads(gateway.call("GET", "/health")[2])["service"] == "api-gateway"


def test_a_request_under_way_is_answered_when_the_gateway_ends():
    def behaviour(request: bytes, connection: int, place: int) -> bytes:
        time.sleep(0.4)
        return OK

    ending, slow = Running(), Upstream(behaviour)
    ending.know(slow.port)
    with client_of(ending) as link, client_of(ending) as idle:
        link.sendall(PLACE)
        time.sleep(0.1)
        ending.server.should_exit = True
        got = all_of(link)
        assert statuses(got) == [200]
        assert b"connection: close\r\n" in got
        assert idle.recv(10) == b""
    ending.thread.join(3)
    assert not ending.thread.is_alive()
    slow.close()


def test_requests_that_came_at_once_hold_up_nobody_else(gateway):
    one = b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n"
    with client_of(gateway) as greedy, client_of(gateway) as other:
        greedy.sendall(one * 1500)
        other.sendall(one)
        began = time.monotonic()
        assert statuses(other.recv(10_000)) == [404]
        assert time.monotonic() - began < 0.1
        got = b""
        while got.count(b"HTTP/1.1 404") < 1500:
            got += greedy.recv(65536)


def test_a_bug_of_ours_closes_the_connection_and_no_other(gateway, monkeypatch):
    def bug(*_: object) -> None:
        raise RuntimeError("a bug")

    with client_of(gateway) as link, client_of(gateway) as other:
        monkeypatch.setattr(ClientRequest, "answer", bug)
        link.sendall(b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionError):
            assert link.recv(1000) == b""
        monkeypatch.undo()
        other.sendall(b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n")
        assert statuses(other.recv(1000)) == [404]


def test_requests_and_connections_are_not_left_to_the_collector(gateway, upstream):
    upstream(always(OK))
    one = b"GET /api/products HTTP/1.1\r\nHost: x\r\n%s\r\n"

    def connect() -> None:
        with client_of(gateway) as link:
            link.sendall(one % b"" * 4 + one % b"Connection: close\r\n")
            assert statuses(all_of(link)) == [200] * 5

    gc.collect()
    gc.disable()
    try:
        for _ in range(30):
            connect()
        eventually(lambda: not gateway.server.server_state.connections, within_s=3)
        kinds = (server.Protocol, RequestParser, ClientRequest, Pending)
        left = Counter(type(object_).__name__ for object_ in gc.get_objects())
        assert sum(left[kind.__name__] for kind in kinds) < 10
    finally:
        gc.enable()

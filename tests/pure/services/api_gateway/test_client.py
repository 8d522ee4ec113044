"""The gateway before upstreams that fail: what it answers, what it tries once more."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import closing, suppress

import pytest

from tests.support.gateway_parts import OK, Upstream, always, closed_port, error_of


def test_an_upstream_that_switches_protocols_is_a_502(gateway, upstream):
    upstream(always(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"))
    status, _, body = gateway.call("GET", "/api/products")
    assert (status, error_of(body)) == (502, "upstream_failed")


@pytest.mark.parametrize("junk", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"])
def test_an_upstream_that_speaks_no_http_is_a_502(gateway, upstream, junk):
    upstream(always(junk))
    status, _, body = gateway.call("GET", "/api/products")
    assert (status, error_of(body)) == (502, "upstream_failed")


def test_an_upstream_that_stops_half_way_is_a_502(gateway, upstream):
    upstream(always(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf"))
    status, _, body = gateway.call("GET", "/api/products")
    assert (status, error_of(body)) == (502, "upstream_failed")


def test_an_upstream_that_says_nothing_is_a_504_in_time(gateway, upstream):
    def silent(request: bytes, connection: int, place: int) -> bytes:
        time.sleep(3)
        return OK

    upstream(silent)
    began = time.monotonic()
    status, _, body = gateway.call("GET", "/api/products")
    assert (status, error_of(body)) == (504, "upstream_timeout")
    assert time.monotonic() - began < 2


def test_a_stale_connection_is_tried_once_more_when_that_is_safe(gateway, upstream):
    def second_dies(request: bytes, connection: int, place: int) -> bytes | None:
        return OK if place == 1 else None

    up = upstream(second_dies)
    for _ in range(6):
        assert gateway.call("GET", "/api/products")[0] == 200
    assert up.connections > 3


def test_a_post_is_never_sent_twice(gateway, upstream):
    up = upstream(lambda request, connection, place: OK if place == 1 else None)
    assert gateway.call("POST", "/api/orders", b"{}")[0] == 200
    status, _, body = gateway.call("POST", "/api/orders", b"{}")
    assert (status, error_of(body)) == (502, "upstream_failed")
    assert len(up.requests) == 2


def test_a_post_with_an_idempotency_key_may_be_sent_again(gateway, upstream):
    upstream(lambda request, connection, place: OK if place == 1 else None)
    for _ in range(4):
        assert gateway.call("POST", "/api/orders", b"{}", Idempotency_Key="k")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_key_makes_no_other_request_idempotent(gateway, upstream, method):
    up = upstream(lambda request, connection, place: OK if place == 1 else None)
    assert gateway.call("GET", "/api/cart")[0] == 200
    gateway.call(method, "/api/cart", b"{}", Idempotency_Key="k")
    assert len(up.requests) == {"POST": 2, "PUT": 3}[method]


def test_two_keys_are_refused(gateway, upstream):
    up = upstream(always(OK))
    head = b"POST /api/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    got = gateway.raw(head + b"Idempotency-Key: a\r\nIdempotency-Key: a\r\n\r\n{}")
    assert got.startswith(b"HTTP/1.1 400 ")
    assert not up.requests


def test_an_instance_that_refuses_is_replaced_by_another(gateway, upstream):
    up = upstream(always(OK))
    gateway.know(closed_port(), up.port, closed_port())
    for _ in range(9):
        assert gateway.call("GET", "/api/products")[0] == 200
        assert gateway.call("POST", "/api/orders", b"{}")[0] == 200


def test_when_all_refuse_it_is_a_502_and_health_says_why(gateway):
    gateway.know(closed_port(), closed_port())
    status, headers, body = gateway.call("GET", "/api/products")
    assert (status, error_of(body), headers["retry-after"]) == (502, "upstream_failed", "1")
    status, _, body = gateway.call("GET", "/health")
    assert status == 503
    assert "no instance of product-service is live" in json.loads(body)["reasons"]


def test_an_instance_that_comes_back_is_used_soon(gateway):
    port = closed_port()
    gateway.know(port)
    assert gateway.call("GET", "/api/products")[0] == 502
    up = Upstream(always(OK), socket.create_server(("127.0.0.1", port)))
    assert gateway.call("GET", "/api/products")[0] == 200
    assert gateway.call("GET", "/health")[0] == 200
    up.close()


def test_when_nobody_is_known_it_is_a_503(gateway):
    gateway.know()
    status, _, body = gateway.call("GET", "/api/products")
    assert (status, error_of(body)) == (503, "no_instance")
    assert gateway.call("GET", "/health")[0] == 503


def test_health_is_degraded_but_well_without_the_registry(gateway, upstream):
    upstream(always(OK))
    time.sleep(0.1)
    gateway.gateway.directory._heard_at = -1e9
    status, _, body = gateway.call("GET", "/health")
    assert (status, json.loads(body)["status"]) == (200, "degraded")


def test_an_answers_trailers_are_no_headers(gateway, upstream):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: 1\r\n\r\n"
    upstream(always(head + b"2\r\n{}\r\n0\r\nSet-Cookie: evil\r\nX-Late: 1\r\n\r\n"))
    for _ in range(3):
        status, headers, body = gateway.call("GET", "/api/products")
        assert (status, body, headers["a"]) == (200, b"{}", "1")
        assert not {"set-cookie", "x-late"} & set(headers)


def test_an_upstream_that_resets_each_connection_at_once_is_a_502_and_never_a_500(gateway):
    """The connection may be gone before the request is written: then nothing was sent."""

    def reset_each() -> None:
        with suppress(OSError):
            while True:
                link, _ = listener.accept()
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                link.close()

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        resetting = threading.Thread(target=reset_each)
        resetting.start()
        gateway.know(listener.getsockname()[1])
        answers = [gateway.call("GET", "/api/products") for _ in range(400)]
        listener.shutdown(socket.SHUT_RDWR)
        resetting.join()
    gateway.know()
    assert Counter(status for status, _, _ in answers) == {502: 400}

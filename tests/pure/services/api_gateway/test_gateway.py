"""The gateway over real sockets on loopback: how requests and answers are framed."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from services.api_gateway import gateway as gateway_module
from tests.support.gateway_parts import OK, always, error_of, read_message
from tests.support.sandbox import eventually


def test_an_answer_comes_back_with_the_instances_name_and_the_callers_id(gateway, upstream):
    up = upstream(always(OK))
    status, headers, body = gateway.call("GET", "/api/products?x=1", X_Request_ID="id-7")
    assert (status, body, headers["x-served-by"], headers["x-request-id"]) == (
        200,
        b"{}",
        "up",
        "id-7",
    )
    assert up.requests[0].startswith(b"GET /products?x=1 HTTP/1.1\r\n")
    assert b"x-request-id: id-7\r\n" in up.requests[0]


def test_connections_are_kept(gateway, upstream):
    up = upstream(always(OK))
    for _ in range(20):
        assert gateway.call("GET", "/api/products")[0] == 200
    assert up.connections <= 2


def test_a_chunked_answer_is_gathered(gateway, upstream):
    upstream(
        always(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        )
    )
    for _ in range(3):
        status, headers, body = gateway.call("GET", "/api/products")
        assert (status, body, headers["content-length"]) == (200, b"abc", "3")
        assert "transfer-encoding" not in headers


def test_an_answer_without_a_length_ends_with_the_connection(gateway, upstream):
    upstream(always(b"HTTP/1.1 200 OK\r\nX: nolength\r\n\r\nall of it"))
    for _ in range(3):
        assert gateway.call("GET", "/api/products")[2] == b"all of it"


def test_an_answer_in_many_small_pieces_is_whole(gateway, upstream):
    up = upstream(always(b""))

    def serve(link: socket.socket, number: int) -> None:
        read_message(link)
        for byte in OK:
            link.sendall(bytes([byte]))
            time.sleep(0.001)

    up._serve = serve
    assert gateway.call("GET", "/api/products")[2] == b"{}"


def test_head_has_a_length_and_no_body_and_keeps_the_connection(gateway, upstream):
    used = set()

    def answer(_request: bytes, connection: int, _place: int) -> bytes:
        used.add(connection)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n"

    upstream(answer)
    for _ in range(5):
        status, headers, body = gateway.call("HEAD", "/api/products")
        assert (status, headers["content-length"], body) == (200, "3000", b"")
    assert len(used) == 1  # checks of health have connections of their own


def test_an_interim_answer_is_passed_over(gateway, upstream):
    upstream(always(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK))
    assert gateway.call("GET", "/api/products")[::2] == (200, b"{}")


def test_a_204_has_no_body(gateway, upstream):
    upstream(always(b"HTTP/1.1 204 No Content\r\n\r\n"))
    status, headers, body = gateway.call("DELETE", "/api/cart")
    assert (status, body, headers.get("content-length")) == (204, b"", None)


def test_a_chunked_request_arrives_whole(gateway, upstream):
    up = upstream(always(OK))
    head = b"POST /api/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    got = gateway.raw(head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n1\r\n \r\n0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200")
    assert up.requests[-1].endswith(b"content-length: 3\r\n\r\n{} ")


def test_expect_is_answered_before_the_body_comes(gateway, upstream):
    up = upstream(always(OK))
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=2)) as link:
        head = b"POST /api/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
        link.sendall(head + b"Expect: 100-continue\r\n\r\n")
        assert link.recv(100).startswith(b"HTTP/1.1 100 ")
        link.sendall(b"{}")
        assert link.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert b"expect" not in up.requests[-1].lower()


def test_expect_of_too_large_a_body_is_refused_at_once(gateway, upstream):
    upstream(always(OK))
    head = b"POST /api/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2001\r\n"
    got = gateway.raw(head + b"Expect: 100-continue\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in got


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_a_body_is_a_413(gateway, upstream, chunked):
    up = upstream(always(OK))
    head = b"POST /api/orders HTTP/1.1\r\nHost: x\r\n"
    body = b"x" * 2001
    if chunked:
        data = head + b"Transfer-Encoding: chunked\r\n\r\n7d1\r\n" + body + b"\r\n0\r\n\r\n"
    else:
        data = head + b"Content-Length: 2001\r\n\r\n" + body
    got = gateway.raw(data)
    assert got.startswith(b"HTTP/1.1 413 ")
    assert b'"body_too_large"' in got
    assert not up.requests


def test_pipelined_requests_are_answered_in_order(gateway, upstream):
    def echo(request: bytes, connection: int, place: int) -> bytes:
        path = request.split()[1]
        time.sleep(0.05 if path.endswith(b"1") else 0)
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path)

    upstream(echo)
    request = b"GET /api/products/%d HTTP/1.1\r\nHost: x\r\n%s\r\n"
    got = gateway.raw(
        request % (1, b"") + request % (2, b"") + request % (3, b"Connection: close\r\n")
    )
    places = [got.index(b"/products/%d" % number) for number in (1, 2, 3)]
    assert places == sorted(places)
    assert got.count(b"HTTP/1.1 200") == 3


def test_a_websocket_is_refused(gateway, upstream):
    upstream(always(OK))
    head = b"GET /api/products HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    got = gateway.raw(head + b"Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 501 ")
    assert b"connection: close" in got


def test_an_upgrade_to_http2_is_ignored(gateway, upstream):
    up = upstream(always(OK))
    head = b"GET /api/products HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    got = gateway.raw(head + b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", wait_s=0.5)
    assert got.startswith(b"HTTP/1.1 200 ")
    assert b"upgrade" not in up.requests[-1].lower()
    assert b"http2-settings" not in up.requests[-1].lower()


def test_an_unknown_path_is_a_404_and_a_wrong_method_a_405(gateway, upstream):
    upstream(always(OK))
    assert error_of(gateway.call("GET", "/nope")[2]) == "not_found"
    status, headers, body = gateway.call("POST", "/api/products", b"{}")
    assert (status, error_of(body), headers["allow"]) == (405, "method_not_allowed", "GET, HEAD")
    assert gateway.call("OPTIONS", "/api/cart")[1]["allow"] == "GET, HEAD, POST, PUT, DELETE"


def test_a_request_that_is_no_http_is_a_400_in_json(gateway):
    got = gateway.raw(b"GET / HTTP/1.1\r\nbad header\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 400 ")
    assert error_of(got.partition(b"\r\n\r\n")[2]) == "not_http"


@pytest.mark.parametrize(
    "headers",
    [b"Content-Length: 2\r\nContent-Length: 3", b"Content-Length: 2\r\nTransfer-Encoding: chunked"],
)
def test_a_request_with_two_lengths_is_refused(gateway, upstream, headers):
    up = upstream(always(OK))
    got = gateway.raw(b"POST /api/orders HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n{}", 0.5)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert not up.requests


def test_http_1_0_is_answered_and_closed(gateway, upstream):
    upstream(always(OK))
    got = gateway.raw(b"GET /api/products HTTP/1.0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"{}")


def test_an_answer_nobody_asked_for_does_not_reach_the_next_client(gateway, upstream):
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    upstream(lambda request, connection, place: OK + evil)
    for _ in range(5):
        assert gateway.call("GET", "/api/products")[2] == b"{}"


def test_a_service_that_is_slow_under_many_requests_takes_no_room_from_another(
    gateway, upstream, monkeypatch
):
    go_on = threading.Event()

    def behaviour(request: bytes, connection: int, place: int) -> bytes:
        if request.startswith(b"GET /cart"):
            go_on.wait(2)
        return OK

    upstream(behaviour)
    monkeypatch.setattr(gateway_module, "IN_FLIGHT_MAX", 3)
    with ThreadPoolExecutor(4) as pool:
        try:
            carts = [pool.submit(gateway.call, "GET", "/api/cart") for _ in range(3)]
            eventually(lambda: gateway.gateway._in_flight == 3, within_s=1)
            status, _, body = gateway.call("GET", "/api/cart")
            assert (status, error_of(body)) == (503, "overloaded")
            assert gateway.call("GET", "/api/products")[0] == 200
        finally:
            go_on.set()
        assert [cart.result()[0] for cart in carts] == [200] * 3
    assert set(gateway.gateway._in_flight_of.values()) == {0}

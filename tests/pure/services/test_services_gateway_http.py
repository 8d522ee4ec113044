"""The gateway over real sockets on loopback, before upstreams that behave as they are told."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import uvicorn

from services.api_gateway import counts
from services.api_gateway.gateway import Gateway
from services.api_gateway.server import Protocol
from services.common.logs import Log
from services.common.settings import from_environment

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Served-By: up\r\n\r\n{}"
Behaviour = Callable[[bytes, int, int], bytes | None]


class Upstream:
    """Answers each request with what `behaviour(request, connection, place)` gives.

    None closes the connection without an answer; an answer that says `Connection: close` (or has
    no length) closes it after. `requests` holds what came.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.requests: list[bytes] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self._open:
            link.close()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(link)
            self.connections += 1
            threading.Thread(target=self._serve, args=(link, self.connections), daemon=True).start()

    def _serve(self, link: socket.socket, number: int) -> None:
        with closing(link):
            for place in range(1, 10_000):
                try:
                    request = read_message(link)
                    if not request:
                        return
                    self.requests.append(request)
                    answer = self.behaviour(request, number, place)
                    if answer is None:
                        return
                    link.sendall(answer)
                except OSError:
                    return
                if b"Connection: close" in answer or b"nolength" in answer:
                    return


def read_message(link: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        part = link.recv(65536)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += link.recv(65536)
    return head + b"\r\n\r\n" + body


class Running:
    """A gateway under uvicorn, in a thread."""

    def __init__(self) -> None:
        environ = {
            "TWINSTACK_ADDRESS": "127.0.0.1",
            "REGISTRY_URL": "http://127.0.0.1:1",
            "UPSTREAM_TIMEOUT_MS": "600",
            "MAX_BODY_BYTES": "2000",
        }
        self.log = Log("api-gateway", "api-gateway", requests=False, fd=-1)
        self.gateway = Gateway(from_environment("api-gateway", environ), self.log)
        config = uvicorn.Config(
            self.gateway,
            host="127.0.0.1",
            port=0,
            http=Protocol,
            loop="uvloop",
            ws="none",
            lifespan="on",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        self.port: int = self.server.servers[0].sockets[0].getsockname()[1]

    def know(self, *ports: int) -> None:
        found = [
            {"instance": f"p-{number}", "address": "127.0.0.1", "port": port}
            for number, port in enumerate(ports, 1)
        ]
        services = {"product-service": found, "order-service": found}
        body = {"services": services, "registry": {"uptime_s": 999}}
        self.gateway.directory.learn(json.dumps(body).encode())

    def call(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as link:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            link.request(method, path, body, names)
            answer = link.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def raw(self, data: bytes, wait_s: float = 2.0) -> bytes:
        """Send bytes, give all that comes until the gateway closes or falls silent."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=wait_s)) as link:
            link.sendall(data)
            got = b""
            try:
                while part := link.recv(65536):
                    got += part
            except TimeoutError:
                pass
            return got


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    running = Running()
    yield running
    running.server.should_exit = True
    running.thread.join(5)


@pytest.fixture
def upstream(gateway: Running) -> Iterator[Callable[[Behaviour], Upstream]]:
    made: list[Upstream] = []

    def make(behaviour: Behaviour) -> Upstream:
        made.append(Upstream(behaviour))
        gateway.know(*(one.port for one in made))
        return made[-1]

    yield make
    for one in made:
        one.close()
    gateway.know()


def always(answer: bytes) -> Behaviour:
    return lambda request, connection, place: answer


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def error_of(body: bytes) -> str:
    said = json.loads(body)
    assert said["request_id"]
    assert "Traceback" not in body.decode()
    name: str = said["error"]
    return name


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
    up = upstream(always(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n"))
    for _ in range(5):
        status, headers, body = gateway.call("HEAD", "/api/products")
        assert (status, headers["content-length"], body) == (200, "3000", b"")
    assert up.connections <= 2


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
    one = b"GET /api/products/%d HTTP/1.1\r\nHost: x\r\n%s\r\n"
    got = gateway.raw(one % (1, b"") + one % (2, b"") + one % (3, b"Connection: close\r\n"))
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
    listener = socket.create_server(("127.0.0.1", port))
    up = Upstream(always(OK))
    up._listener.close()
    up._listener = listener
    threading.Thread(target=up._accept, daemon=True).start()
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


def counts_of(gateway: Running) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(gateway.call("GET", "/internal/counts")[2])
    return told


def test_answers_are_counted_by_status_and_by_instance(gateway, upstream):
    upstream(always(OK))
    before = counts_of(gateway)
    for path in ("/api/products", "/api/products", "/nowhere", "/health"):
        gateway.call("GET", path)
    after = counts_of(gateway)
    new = {status: after["statuses"][status] - count for status, count in
           before["statuses"].items()}  # fmt: skip
    assert new == {"1xx": 0, "2xx": 2, "3xx": 0, "4xx": 1, "5xx": 0}
    assert after["busy_s"] > before["busy_s"]
    product = next(one for one in after["upstreams"] if one["service"] == "product-service")
    assert (product["answers"], product["failures"], product["shunned"]) == (2, 0, False)
    assert 0 < product["busy_s"] < 1


def test_an_instance_that_refuses_is_counted_as_shunned(gateway):
    gateway.know(closed_port())
    assert gateway.call("GET", "/api/products")[0] == 502
    product = counts_of(gateway)["upstreams"][0]
    assert (product["answers"], product["failures"] > 0, product["shunned"]) == (0, True, True)
    gateway.know()


def test_counts_are_told_to_nobody_who_comes_from_elsewhere():
    assert counts.is_asked(counts.PATH, ("127.0.0.1", 1))
    assert not counts.is_asked(counts.PATH, ("10.0.0.10", 1))
    assert not counts.is_asked(counts.PATH, None)
    assert not counts.is_asked(b"/health", ("127.0.0.1", 1))

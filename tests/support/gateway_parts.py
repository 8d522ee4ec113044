"""A gateway running on loopback, and upstreams with a given behaviour, for tests."""

from __future__ import annotations

import http.client
import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import uvicorn

from services.api_gateway.gateway import Gateway
from services.api_gateway.routes import SERVICES
from services.api_gateway.server import Protocol
from services.common.logs import Log
from services.common.settings import from_environment

HEAD = b"POST /api/orders HTTP/1.1\r\nHost: x\r\n"
PLACE = HEAD + b"Content-Length: 2\r\n\r\n{}"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Served-By: up\r\n\r\n{}"
Behaviour = Callable[[bytes, int, int], bytes | None]


class Upstream:
    """Answers each request with what `behaviour(request, connection, place)` gives.

    None closes the connection without an answer; an answer that says `Connection: close` (or has
    no length) closes it after. `requests` holds what came; checks of /health are answered apart,
    with what `health` gives.
    """

    def __init__(self, behaviour: Behaviour, listener: socket.socket | None = None) -> None:
        self.behaviour = behaviour
        self.health: Callable[[], bytes] = lambda: OK
        self.requests: list[bytes] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
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
            place = 0
            while True:
                try:
                    request = read_message(link)
                    if not request:
                        return
                    if request.startswith(b"GET /health "):
                        link.sendall(self.health())
                        continue
                    place += 1
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

    def __init__(
        self,
        upstream_timeout_ms: int = 600,
        registry_url: str = "http://127.0.0.1:1",
        max_body_bytes: int = 2000,
    ) -> None:
        environ = {
            "TWINSTACK_ADDRESS": "127.0.0.1",
            "REGISTRY_URL": registry_url,
            "UPSTREAM_TIMEOUT_MS": str(upstream_timeout_ms),
            "MAX_BODY_BYTES": str(max_body_bytes),
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

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(5)

    def know(self, *ports: int) -> None:
        instances = [
            {"instance": f"p-{number}", "address": "127.0.0.1", "port": port}
            for number, port in enumerate(ports, 1)
        ]
        left = {
            service: [
                {"instance": up.name, "address": up.host, "port": up.port}
                for up in rotation.upstreams
                if up.port not in ports
            ]
            for service, rotation in self.gateway.directory.rotations.items()
        }
        body = {"services": dict.fromkeys(SERVICES, instances), "left": left}
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


def always(answer: bytes) -> Behaviour:
    return lambda request, connection, place: answer


def closed_port() -> int:
    """Give a port of loopback that stays closed: one that no client is given as its own.

    Of the ports that clients get (ip_local_port_range), a connection of another test may take one
    while a server that is to listen there is still being prepared.
    """
    for port in random.sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("no closed port among a hundred")


def error_of(body: bytes) -> str:
    document = json.loads(body)
    assert document["request_id"]
    assert "Traceback" not in body.decode()
    name: str = document["error"]
    return name


@contextmanager
def client_of(gateway: Running) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=5)) as link:
        yield link


def all_of(link: socket.socket) -> bytes:
    got = b""
    while part := link.recv(65536):
        got += part
    return got


def statuses(got: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)]


def last_error(got: bytes) -> str:
    return error_of(got.rpartition(b"\r\n\r\n")[2])

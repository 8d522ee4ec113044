"""A socket between Compose and the engine, so that a watch sees each thing that Compose does.

Compose is a program of its own: its requests to the engine pass no code of ours. A child process of
the checks gives it this socket instead of the engine's. A request that changes something waits here
until the watch has seen it, one at a time; an OSError of the watch is answered as the engine's
failure. All others pass.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import docker

from twinstack.compose.client import ComposeProject, ComposeRun
from twinstack.reconcile import Watch

_UNIX = "unix://"
_VERSION = re.compile(r"^/v[\d.]+")
_READING = frozenset({"GET", "HEAD"})
#: Headers of one connection alone.
_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


@contextmanager
def step_proxy(url: str, watch: Watch, path: Path, names: Mapping[str, str]) -> Iterator[str]:
    """Give Compose's address of the engine at `url`.

    `path` is the proxy's socket; `names` those of present containers and networks, by id.
    """
    path.unlink(missing_ok=True)  # of a command that was killed
    with _Server(str(path), url.removeprefix(_UNIX), watch, dict(names)) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"{_UNIX}{path}"
        finally:
            server.shutdown()
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class WatchedProject(ComposeProject):
    """A compose project of which a watch sees each request that changes something."""

    watch: Watch
    socket: Path

    @contextmanager
    def _running(self, *words: str) -> Iterator[ComposeRun]:
        with closing(docker.DockerClient(base_url=self.url)) as client:
            names = {
                str(container["Id"]): str(container["Names"][0]).removeprefix("/")
                for container in client.api.containers(all=True)
            }
            names |= {str(each["Id"]): str(each["Name"]) for each in client.api.networks()}
        with step_proxy(self.url, self.watch, self.socket, names) as url:
            project = ComposeProject(self.name, self.file, url, self.state)
            with project._running(*words) as run:
                yield run


def step_name(method: str, target: str, body: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Give the name of the step that a changing request does, as in `steps`.

    A request that no step stands for is named by itself, so that a count shows it.
    """
    parts = urlsplit(target)
    path = _VERSION.sub("", parts.path)
    match (method, *path.strip("/").split("/")):
        case ("POST", "networks" | "volumes" as kind, "create"):
            return f"{kind.removesuffix('s')} {body.get('Name')}: create"
        case ("POST", "containers", "create"):
            return f"container {parse_qs(parts.query).get('name', ['?'])[0]}: create"
        case ("POST", "containers", identity, "start"):
            return f"container {names.get(identity, identity)}: start"
        case ("POST", "networks", identity, "connect"):
            container = str(body.get("Container"))
            network = names.get(identity, identity)
            return f"container {names.get(container, container)} to {network}: attach"
        case _:
            return f"compose {method} {path}"


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128  # Compose asks for all its containers at once

    def __init__(self, path: str, engine: str, watch: Watch, names: dict[str, str]) -> None:
        self.engine = engine
        self.watch = watch
        self.names = names
        self.turn = threading.Lock()
        super().__init__(path, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a connection that Compose, or the engine, has ended."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_words: object) -> None:
        """Log nothing."""

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.command in _READING:
            self._relay(body, None)
            return
        with self.server.turn:
            name = step_name(self.command, self.path, _json(body), self.server.names)
            try:
                self.server.watch.before(name)
                self.server.watch.during(name)
            except OSError as error:
                self._answer(500, [])
                self.wfile.write(json.dumps({"message": str(error)}).encode())
                return
            self._relay(body, name)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass  # noqa: N815

    def _relay(self, body: bytes, step: str | None) -> None:
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP
        }
        with closing(_Engine(self.server.engine)) as engine:
            engine.request(self.command, self.path, body or None, headers)
            answer = engine.getresponse()
            content = answer.read() if step else b""
            if step:
                identity = _json(content).get("Id")
                if identity:  # created just now: later requests name it by its id
                    self.server.names[str(identity)] = step.split()[1].rstrip(":")
                self.server.watch.after(step)
            self._answer(answer.status, answer.getheaders())
            self.wfile.write(content)
            while part := answer.read1(65536):  # as it comes: some answers never end
                self.wfile.write(part)
                self.wfile.flush()

    def _answer(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Begin an answer; the end of the connection is its end."""
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True


class _Engine(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def _json(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}

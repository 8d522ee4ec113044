"""A socket between compose and the engine, so that a watch is told of each thing compose does.

Compose is a program of its own: what it asks of the engine goes by no code of ours. Where
somebody watches, and only there, it is given this socket for the engine's. A request that changes
something waits here until the watch has been told, one at a time; an OSError of the watch is
answered for the engine, as its failure. All others pass.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from twinstack.errors import CannotTell
from twinstack.reconcile import UNWATCHED, Watch

_UNIX = "unix://"
_VERSION = re.compile(r"^/v[\d.]+")
_READING = frozenset({"GET", "HEAD"})
_OF_ITSELF = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


@contextmanager
def gate(url: str, watch: Watch, path: Path, names: Mapping[str, str]) -> Iterator[str]:
    """Give the address for compose of the engine at `url`: its own where nobody watches.

    `path` is where the socket goes; `names` those of containers and networks there already, by id.
    Raises: CannotTell for an engine that is not at a Unix socket.
    """
    if watch is UNWATCHED:
        yield url
        return
    if not url.startswith(_UNIX):
        raise CannotTell(url, "cannot be watched", "it is no Unix socket")
    path.unlink(missing_ok=True)  # of one that was killed
    with _Server(str(path), url.removeprefix(_UNIX), watch, dict(names)) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"{_UNIX}{path}"
        finally:
            server.shutdown()
            path.unlink(missing_ok=True)


def title_of(method: str, target: str, body: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Give the title of the step that a changing request takes, as `steps` names it.

    A request that no step stands for is named by itself, so that a count shows it.
    """
    parts = urlsplit(target)
    path = _VERSION.sub("", parts.path)
    words = path.strip("/").split("/")
    match (method, *words):
        case ("POST", "networks" | "volumes" as kind, "create"):
            return f"{kind.removesuffix('s')} {body.get('Name')}: create"
        case ("POST", "containers", "create"):
            return f"container {parse_qs(parts.query).get('name', ['?'])[0]}: create"
        case ("POST", "containers", one, "start"):
            return f"container {names.get(one, one)}: start"
        case ("POST", "networks", one, "connect"):
            other = str(body.get("Container"))
            return f"container {names.get(other, other)} to {names.get(one, one)}: attach"
        case _:
            return f"compose {method} {path}"


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128  # compose asks for all its containers at once

    def __init__(self, path: str, engine: str, watch: Watch, names: dict[str, str]) -> None:
        self.engine = engine
        self.watch = watch
        self.names = names
        self.turn = threading.Lock()
        super().__init__(path, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Let a connection go that compose, or the engine, has ended."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_words: object) -> None:
        """Say nothing: it is no server of the user's."""

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.command in _READING:
            self._relay(body, None)
            return
        said = _json(body)
        with self.server.turn:
            title = title_of(self.command, self.path, said, self.server.names)
            try:
                self.server.watch.before(title)
                self.server.watch.during(title)
            except OSError as error:
                self._answer(500, [], json.dumps({"message": str(error)}).encode())
                return
            self._relay(body, title)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass  # noqa: N815

    def _relay(self, body: bytes, title: str | None) -> None:
        engine = _Engine(self.server.engine)
        try:
            engine.request(self.command, self.path, body or None, self._asked())
            answer = engine.getresponse()
            if title is not None:
                said = answer.read()
                identity = _json(said).get("Id")
                if identity:
                    words = title.split()
                    self.server.names[str(identity)] = words[1].rstrip(":")
                self.server.watch.after(title)
                self._answer(answer.status, answer.getheaders(), said)
            elif answer.length is not None:
                self._answer(answer.status, answer.getheaders(), answer.read())
            else:
                self._stream(answer)
        finally:
            engine.close()

    def _asked(self) -> dict[str, str]:
        return {
            name: value for name, value in self.headers.items() if name.lower() not in _OF_ITSELF
        }

    def _answer(self, status: int, headers: list[tuple[str, str]], said: bytes) -> None:
        self._head(status, headers)
        if status not in {204, 304}:
            self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)

    def _stream(self, answer: http.client.HTTPResponse) -> None:
        """Hand on what comes as it comes; the end of the connection is its end."""
        self._head(answer.status, answer.getheaders())
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        while part := answer.read1(65536):
            self.wfile.write(part)
            self.wfile.flush()

    def _head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _OF_ITSELF:
                self.send_header(name, value)


class _Engine(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def _json(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

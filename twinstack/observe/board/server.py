"""Serve the page on this machine's loopback: read-only, to a few clients at once.

The standard library's server: a handful of people on loopback need no framework, and each client
has a thread of its own, so a slow one keeps nobody waiting.

A page of a stranger's must not read this one through a browser's help, so a Host that is not ours
is refused (DNS rebinding), no answer may be read across origins, and nothing here changes anything.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from twinstack.errors import TwinstackError
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.board import page
from twinstack.observe.live.feed import Feed
from twinstack.printable import plain
from twinstack.reconcile import Progress

ADDRESS = "127.0.0.1"
#: People who look at once, and connections at once.
STREAMS, CONNECTIONS = 16, 48
#: A client that takes longer to send a request, or to take what it is sent, is let go.
PATIENCE_S = 10.0
#: How long what runs is known, once it was asked of the engine: below the page's own patience
#: (3 s) with a picture of another topology.
PLANS_S = 1.0
_PING_S = 10.0
_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::(\d{1,5}))?", re.IGNORECASE)
_FILES = {
    "/dashboard.css": ("dashboard.css", "text/css; charset=utf-8"),
    "/dashboard.js": ("dashboard.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
Plans = Callable[[], dict[WorldName, Plan | None]]


def is_ours(host: str, port: int) -> bool:
    """Tell whether a Host header means this server; pure."""
    found = _HOST.fullmatch(host.strip())
    return found is not None and int(found[1] or 80) == port


class Kept:
    """Plans that are asked for once a while, however many load the page. Safe in threads."""

    def __init__(self, ask: Plans) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._found: dict[WorldName, Plan | None] = {}
        self._until_s = 0.0

    def __call__(self) -> dict[WorldName, Plan | None]:
        """Give them; ask when they are too old. Raises: as who is asked."""
        with self._lock:
            if time.monotonic() >= self._until_s:
                self._found = self._ask()
                self._until_s = time.monotonic() + PLANS_S
            return self._found


class Server(ThreadingHTTPServer):
    """The server of one feed."""

    daemon_threads = True
    request_queue_size = 32

    def __init__(self, feed: Feed, plans: Plans, repository: Path, port: int) -> None:
        self.feed = feed
        self.plans = Kept(plans)
        self.repository = repository
        self.streams = threading.BoundedSemaphore(STREAMS)
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__((ADDRESS, port), _Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection, while there is room."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave a client who went without a word; of a bug of ours the traceback is wanted."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "twinstack"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE_S

    def do_GET(self) -> None:
        if not self._meant_for_us():
            return
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer(200, "text/html; charset=utf-8", self._page())
        elif path in _FILES:
            name, kind = _FILES[path]
            self._answer(200, kind, (self._templates / page.FOLDER / name).read_bytes())
        elif path == "/events":
            self._stream()
        elif path == "/latest.json":
            self._answer(200, "application/json", self._latest())
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    def do_HEAD(self) -> None:
        self.do_GET()

    @property
    def _templates(self) -> Path:
        return self.server.repository / "templates"

    def _meant_for_us(self) -> bool:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1:
            self._refuse(HTTPStatus.BAD_REQUEST, "one Host is needed")
            return False
        if not is_ours(hosts[0], self.server.port):
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "this host is not served here")
            return False
        if self.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            self._refuse(HTTPStatus.FORBIDDEN, "another site's page may not ask")
            return False
        return True

    def _page(self) -> bytes:
        plans = self.server.plans()
        shown = tuple(page.Shown(name, plans.get(name)) for name in self.server.feed.worlds)
        return page.page(shown, self.server.repository / "bench" / "results", self._templates)

    def _latest(self) -> bytes:
        found = self.server.feed.latest()
        return json.dumps({name: plain(one.document) for name, one in found.items()}).encode()

    def _stream(self) -> None:
        """Send samples as they come, to the end. Source: HTML, server-sent events."""
        if self.command == "HEAD":
            self._answer(200, "text/event-stream", b"")
            return
        if not self.server.streams.acquire(blocking=False):
            self._refuse(
                HTTPStatus.SERVICE_UNAVAILABLE, "enough people look", **{"Retry-After": "5"}
            )
            return
        try:
            self.close_connection = True
            self.send_response(200)
            self._head("text/event-stream", None)
            self._send_all()
        except OSError:
            return  # it went, or took nothing for too long
        finally:
            self.server.streams.release()

    def _send_all(self) -> None:
        feed = self.server.feed
        # What the kernel keeps for a client that takes nothing is little: then it is let go.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        history = feed.history()
        self._event("history", json.dumps(plain(history)).encode())
        heard = history["events"][-1]["number"] if history["events"] else 0
        seen: dict[WorldName, int] = {}
        said_s = time.monotonic()
        while not feed.ended:
            found = feed.after(seen, _PING_S / 2)
            if news := feed.happened(heard):  # in samples that were missed, too
                heard = news[-1]["number"]
                self._event("happened", json.dumps({"events": plain(news)}).encode())
            for name, one in found.items():
                seen[name] = one.number
                self._event("sample", one.line)
                said_s = time.monotonic()
            if time.monotonic() - said_s > _PING_S:
                self.wfile.write(b": still here\n\n")
                said_s = time.monotonic()

    def _event(self, kind: str, data: bytes) -> None:
        self.wfile.write(b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n")

    def _refuse(self, status: HTTPStatus, why: str, **headers: str) -> None:
        self.close_connection = True
        self._answer(status, "text/plain; charset=utf-8", f"{why}\n".encode(), **headers)

    def _answer(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self._head(kind, len(body), **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, kind: str, length: int | None, **headers: str) -> None:
        told = {"Content-Type": kind, **_HEADERS, **headers}
        if length is not None:
            told["Content-Length"] = str(length)
        if self.close_connection:
            told["Connection"] = "close"
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no HTTP, without the library's page."""
        self.command = getattr(self, "command", None) or "GET"
        self.request_version = "HTTP/1.1"  # else one that cannot be read is answered headless
        with suppress(OSError):
            if code != HTTPStatus.NOT_IMPLEMENTED:
                self._refuse(HTTPStatus(code), message or "this cannot be answered")
            elif self._meant_for_us():  # a method that we have not
                self._refuse(
                    HTTPStatus.METHOD_NOT_ALLOWED, "this page is only read", Allow="GET, HEAD"
                )

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the terminal for what matters."""


def serve(feed: Feed, plans: Plans, repository: Path, port: int, say: Progress) -> None:
    """Serve until Ctrl-C, which is how it is meant to end. Raises: TwinstackError: a busy port."""
    with opened(feed, plans, repository, port) as server:
        say(f"http://{ADDRESS}:{server.port}/ (on this machine alone; Ctrl-C ends it)")
        with suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=1.0)


def opened(feed: Feed, plans: Plans, repository: Path, port: int) -> Server:
    """Listen. Raises: TwinstackError when the port cannot be had."""
    try:
        return Server(feed, plans, repository, port)
    except OSError as error:
        raise TwinstackError(
            f"port {port}",
            "cannot be listened on",
            error.strerror or str(error),
            "choose another: --port",
        ) from error

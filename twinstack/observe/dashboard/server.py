"""Serve the dashboard on this machine's loopback: read-only, to a few clients at once.

The standard library's server is enough for that; each client has a thread, so a slow one delays no
other. A page of another site must not read this one through a visitor's browser: a foreign Host is
refused (DNS rebinding, see `hosts`), and no answer may be read across origins.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs

from twinstack.errors import Missing, TwinstackError
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.dashboard import hosts, page
from twinstack.observe.detail.looks import Looks
from twinstack.observe.live.feed import Feed
from twinstack.observe.live.watcher import FindWorld
from twinstack.observe.metrics.exposition import (
    CONTENT_TYPE,
    TIMEOUT_HEADER,
    Exposition,
    scrape_timeout_s,
)
from twinstack.printable import plain
from twinstack.reconcile import Progress

ADDRESS = "127.0.0.1"
#: Event streams at once, and connections at once.
STREAMS, CONNECTIONS = 16, 48
#: A client that takes longer to send a request, or to receive, is disconnected.
CLIENT_TIMEOUT_S = 10.0
#: How long the plans are cached. Shorter than the page waits (3 s) before it reloads.
PLANS_S = 1.0
_PING_S = 10.0
_PIECE_BYTES = 1 << 14
_SCRIPTS = (
    *("dashboard", "dom", "format", "history", "hour", "panel", "replica", "search"),
    *("chart", "comparison", "pause", "export"),
)
_FILES = {
    "/dashboard.css": "text/css; charset=utf-8",
    **{f"/{name}.js": "text/javascript; charset=utf-8" for name in _SCRIPTS},
    "/icon.svg": "image/svg+xml",
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
FindPlans = Callable[[], dict[WorldName, Plan | None]]
FindWorlds = Mapping[WorldName, FindWorld]
_NO_WORLDS: FindWorlds = MappingProxyType({})


class CachedPlans:
    """Plans that are looked up at most every PLANS_S, however many load the page. Thread-safe."""

    def __init__(self, find: FindPlans) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._plans: dict[WorldName, Plan | None] = {}
        self._until_s = 0.0

    def __call__(self) -> dict[WorldName, Plan | None]:
        with self._lock:
            if time.monotonic() >= self._until_s:
                self._plans = self._find()
                self._until_s = time.monotonic() + PLANS_S
            return self._plans


class Server(ThreadingHTTPServer):
    """The server of one feed."""

    daemon_threads = True
    request_queue_size = 32

    def __init__(
        self,
        feed: Feed,
        plans: FindPlans,
        repository: Path,
        port: int,
        allowed: Sequence[hosts.ServedHost] = (),
        worlds: FindWorlds = _NO_WORLDS,
        instance: str = "main",
    ) -> None:
        self.feed = feed
        self.looks = Looks(feed, worlds)
        self.metrics = Exposition(feed, instance)
        self.plans = CachedPlans(plans)
        self.repository = repository
        self.allowed = tuple(allowed)  # hosts besides the loopback
        self.streams = threading.BoundedSemaphore(STREAMS)
        self._connections = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__((ADDRESS, port), _Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Accept a connection while fewer than CONNECTIONS are open."""
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started, which would release it
            self._connections.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that went away; print the traceback of a bug."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "twinstack"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = CLIENT_TIMEOUT_S

    def do_GET(self) -> None:
        if not self._is_for_us():
            return
        templates = self.server.repository / "templates"
        path, _, query = self.path.partition("?")
        if path == "/":
            plans = self.server.plans()
            shown = {name: plans.get(name) for name in self.server.feed.worlds}
            results = self.server.repository / "bench" / "results"
            self._answer(200, "text/html; charset=utf-8", page.page(shown, results, templates))
        elif path in _FILES:
            self._answer(200, _FILES[path], (templates / page.FOLDER / path[1:]).read_bytes())
        elif path == "/events":
            self._stream()
        elif path == "/latest.json":
            latest = self.server.feed.latest()
            documents = {name: plain(one.document) for name, one in latest.items()}
            self._answer(200, "application/json", json.dumps(documents).encode())
        elif path == "/replica.json":
            self._look(query)
        elif path == "/metrics":
            timeout_s = scrape_timeout_s(self.headers.get(TIMEOUT_HEADER, ""))
            self._answer(200, CONTENT_TYPE, self.server.metrics(timeout_s))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    do_HEAD = do_GET  # noqa: N815

    def _is_for_us(self) -> bool:
        headers = self.headers.get_all("Host") or []
        if len(headers) != 1:
            self._refuse(HTTPStatus.BAD_REQUEST, "one Host header is needed")
        elif not hosts.is_served(headers[0], self.server.allowed):
            cause = "this host is not served here; start with: invoke dashboard --allow-host HOST"
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, cause)
        elif self.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            self._refuse(HTTPStatus.FORBIDDEN, "another site's page may not ask")
        else:
            return True
        return False

    def _look(self, query: str) -> None:
        """Send what is known of one replica: ?world=net&name=order-service."""
        try:
            asked = parse_qs(query, max_num_fields=8)
            world, name = (asked.get(key, [""])[0] for key in ("world", "name"))
            self._answer(200, "application/json", self.server.looks.document(world, name))
        except ValueError:
            self._refuse(HTTPStatus.BAD_REQUEST, "too many fields")
        except Missing as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error))
        except TwinstackError as error:
            retry = {"Retry-After": "2"}
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error), **retry)

    def _stream(self) -> None:
        """Send samples as they come. Source: HTML, server-sent events."""
        if self.command == "HEAD":
            self._answer(200, "text/event-stream", b"")
            return
        if not self.server.streams.acquire(blocking=False):
            busy = HTTPStatus.SERVICE_UNAVAILABLE
            self._refuse(busy, "too many clients", **{"Retry-After": "5"})
            return
        try:
            self.close_connection = True
            self.send_response(200)
            self._headers("text/event-stream", None)
            self._send_samples()
        except OSError:
            return  # the client went away, or received nothing for too long
        finally:
            self.server.streams.release()

    def _send_samples(self) -> None:
        feed = self.server.feed
        # A small buffer, so that a client that receives nothing is noticed.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        history = {**feed.history(), "hour": feed.hour()}
        self._event("history", json.dumps(plain(history), separators=(",", ":")).encode())
        closed = {name: world["closed"] for name, world in history["hour"]["worlds"].items()}
        event_number = history["events"][-1]["number"] if history["events"] else 0
        seen: dict[WorldName, int] = {}
        sent_s = time.monotonic()
        while not feed.ended:
            newer = feed.after(seen, _PING_S / 2)
            if events := feed.events_after(event_number):  # also those of samples that were missed
                event_number = events[-1]["number"]
                self._event("happened", json.dumps({"events": plain(events)}).encode())
            if means := feed.means_after(closed):
                closed |= {name: world["closed"] for name, world in means.items()}
                self._event("means", json.dumps(plain(means)).encode())
            for name, latest in newer.items():
                seen[name] = latest.number
                self._event("sample", latest.line)
                sent_s = time.monotonic()
            if time.monotonic() - sent_s > _PING_S:
                self.wfile.write(b": still here\n\n")
                sent_s = time.monotonic()

    def _event(self, kind: str, data: bytes) -> None:
        text = b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
        # The timeout is for each piece: a slow client gets an hour's history too.
        for start in range(0, len(text), _PIECE_BYTES):
            self.wfile.write(text[start : start + _PIECE_BYTES])

    def _refuse(self, status: HTTPStatus, cause: str, **headers: str) -> None:
        self.close_connection = True
        self._answer(status, "text/plain; charset=utf-8", f"{cause}\n".encode(), **headers)

    def _answer(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self._headers(kind, len(body), **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _headers(self, kind: str, length: int | None, **more: str) -> None:
        headers = {"Content-Type": kind, **_HEADERS, **more}
        if length is not None:
            headers["Content-Length"] = str(length)
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is not HTTP, without the library's page."""
        self.command = getattr(self, "command", None) or "GET"
        self.request_version = "HTTP/1.1"  # else an unreadable request is answered without headers
        with suppress(OSError):
            if code != HTTPStatus.NOT_IMPLEMENTED:
                self._refuse(HTTPStatus(code), message or "this cannot be answered")
            elif self._is_for_us():  # a method other than GET and HEAD
                refused = HTTPStatus.METHOD_NOT_ALLOWED
                self._refuse(refused, "this page is read-only", Allow="GET, HEAD")

    def log_message(self, format: str, *arguments: object) -> None:
        """Log no requests."""


def serve(
    feed: Feed,
    plans: FindPlans,
    repository: Path,
    port: int,
    say: Progress,
    allowed: Sequence[hosts.ServedHost] = (),
    worlds: FindWorlds = _NO_WORLDS,
    instance: str = "main",
) -> None:
    """Serve until Ctrl-C, to the loopback's names and those allowed.

    Raises: TwinstackError for a busy port.
    """
    with listen(feed, plans, repository, port, allowed, worlds, instance) as server:
        say(f"http://{ADDRESS}:{server.port}/ (on this machine alone; Ctrl-C ends it)")
        with suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=1.0)


def listen(
    feed: Feed,
    plans: FindPlans,
    repository: Path,
    port: int,
    allowed: Sequence[hosts.ServedHost] = (),
    worlds: FindWorlds = _NO_WORLDS,
    instance: str = "main",
) -> Server:
    """Make the listening server. Raises: TwinstackError when the port is not available."""
    try:
        return Server(feed, plans, repository, port, allowed, worlds, instance)
    except OSError as error:
        raise TwinstackError(
            f"port {port}",
            "cannot be listened on",
            error.strerror or str(error),
            "choose another: --port",
        ) from error

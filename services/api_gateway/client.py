"""A small HTTP/1.1 client: kept connections, one request on each at a time, httptools to parse.

A request is bytes; an answer is gathered whole. Requests have no timers: a sweep ends those that
take too long, a few times a second. After `Broken`, `Slow` or `TimedOut` the request may have been
carried out; after `ConnectFailed` nothing was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import httptools

from services.api_gateway.standing import Standing

CONNECT_TIMEOUT_S = 1.0
IDLE_S = 10.0
IDLE_KEPT = 256
ANSWER_MAX_BYTES = 16 * 1024 * 1024
SWEEP_S = 0.2


class UpstreamError(Exception):
    """An upstream did not give an answer."""


class ConnectFailed(UpstreamError):
    """There is no connection: nothing was sent."""


class Stale(UpstreamError):
    """A kept connection was closed before the first byte of an answer."""


class Broken(UpstreamError):
    """The connection broke, or what came is no HTTP."""


class TimedOut(UpstreamError):
    """No whole answer within the time allowed."""


class Slow(UpstreamError):
    """No whole answer within the time of one try, and another instance may be asked."""


@dataclass(slots=True)
class Answer:
    """An upstream's answer, whole. Header names are as they came."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass(slots=True, eq=False)
class Connection(asyncio.Protocol):
    """One connection. Between requests it is idle; whatever comes then makes it unusable."""

    loop: asyncio.AbstractEventLoop
    open: bool = False
    uses: int = 0
    idle_since: float = 0.0
    slow_at: float = 0.0  # from then on the sweep asks whether to give the request up
    deadline: float = 0.0
    _waiter: asyncio.Future[Answer] | None = None
    _headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    _body: bytearray = field(default_factory=bytearray)
    _head_only: bool = False
    _received: bool = False
    _status: int = 0  # 0 until the headers are complete
    _parser: httptools.HttpResponseParser = field(init=False)
    _transport: asyncio.Transport = field(init=False)

    def __post_init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)

    def request(self, data: bytes, head_only: bool) -> asyncio.Future[Answer]:
        """Send a request, whole. The future raises Stale, Broken, or what `fail` is given."""
        self.uses += 1
        self._head_only = head_only
        self._received = False
        self._waiter = waiter = self.loop.create_future()
        self._headers = []
        self._body = bytearray()
        self._status = 0
        self._transport.write(data)
        return waiter

    def close(self) -> None:
        self.open = False
        self._transport.abort()

    def fail(self, error: UpstreamError) -> None:
        """Close, and fail the request that waits."""
        self.close()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it.
        self.open = True

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:  # An answer without a request.
            self.close()
            return
        self._received = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fail(Broken("the upstream switched protocols"))
        except httptools.HttpParserError as error:
            self.fail(Broken(f"not an HTTP answer: {error}"))

    def eof_received(self) -> bool:
        return False  # Close: a peer that can't send has no answer for us.

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._waiter is None or self._waiter.done():
            return
        if self._status and exc is None and not _has_length(self._headers):
            self._complete(keep=False)  # The end of the connection is the end of the body.
        elif self.uses > 1 and not self._received:
            self.fail(Stale("the kept connection was closed"))
        else:
            self.fail(Broken(f"the connection was closed: {exc or 'end of stream'}"))

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._waiter is None:  # More than one answer came at once.
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:  # Else it is a trailer.
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 101:
            return  # The parser raises HttpParserUpgrade next.
        if status < 200:
            self._headers = []
            return
        self._status = status
        if self._head_only:  # The parser can't know that no body follows: it is done with.
            keep = self._parser.get_http_version() == "1.1" and not _says_close(self._headers)
            self._parser = httptools.HttpResponseParser(self)
            self._complete(keep)

    def on_body(self, body: bytes) -> None:
        if self._waiter is None:
            return
        self._body += body
        if len(self._body) > ANSWER_MAX_BYTES:
            self.fail(Broken(f"the answer is larger than {ANSWER_MAX_BYTES} bytes"))

    def on_message_complete(self) -> None:
        if self._status and self._waiter is not None:
            self._complete(self._parser.should_keep_alive())

    def _complete(self, keep: bool) -> None:
        waiter, self._waiter = self._waiter, None
        if not keep and self.open:
            self.close()
        if waiter is not None and not waiter.done():
            waiter.set_result(Answer(self._status, self._headers, bytes(self._body)))


@dataclass(slots=True, eq=False)
class Upstream:
    """An instance of a service: its address, its kept connections, and its statistics."""

    name: str
    host: str
    port: int
    idle: list[Connection] = field(default_factory=list)
    standing: Standing = field(default_factory=Standing)
    checked_at: float = 0.0
    answers: int = 0
    failures: int = 0
    busy_s: float = 0.0

    @property
    def key(self) -> tuple[str, str, int]:
        return self.name, self.host, self.port

    def take(self) -> Connection | None:
        """Take the connection that was used last: the likeliest to be alive."""
        while self.idle:
            connection = self.idle.pop()
            if connection.open:
                return connection
        return None

    def close(self) -> None:
        """Close the idle connections; a busy one closes after its request."""
        for connection in self.idle:
            connection.close()
        self.idle.clear()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one try of a request waits, in seconds, and whether it may end so soon."""

    try_s: float
    may_give_up: Callable[[Upstream], bool]


class Client:
    """Send requests to upstreams, each on a connection of its own while it lasts."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._busy: dict[Connection, tuple[Upstream, Patience | None]] = {}
        self._kept: set[Upstream] = set()

    async def exchange(
        self,
        upstream: Upstream,
        data: bytes,
        timeout_s: float,
        *,
        head_only: bool = False,
        fresh: bool = False,
        patience: Patience | None = None,
    ) -> Answer:
        """Send `data`, give the answer. `fresh` asks for a new connection.

        Raises: ConnectFailed, Stale (not if fresh), Broken, TimedOut, Slow (by its `patience`).
        """
        connection = None if fresh else upstream.take()
        if connection is None:
            connection = await self._connect(upstream)
        now = self._loop.time()
        connection.deadline = now + timeout_s
        connection.slow_at = now + patience.try_s if patience else connection.deadline
        self._busy[connection] = upstream, patience
        try:
            answer = await connection.request(data, head_only)
        except asyncio.CancelledError:
            connection.close()
            raise
        finally:
            self._busy.pop(connection, None)
        self._keep(upstream, connection)
        return answer

    async def sweep(self) -> None:
        """End requests that take too long and close idle connections; never returns."""
        while True:
            slept_at = self._loop.time()
            await asyncio.sleep(SWEEP_S)
            if self._loop.time() - slept_at > 2 * SWEEP_S:  # We were held up, not they.
                await asyncio.sleep(SWEEP_S / 10)  # Read what came meanwhile.
            now = self._loop.time()
            for connection in [busy for busy in self._busy if busy.slow_at < now]:
                upstream, patience = self._busy[connection]
                if connection.deadline < now:
                    connection.fail(TimedOut("no answer in time"))
                elif patience and patience.may_give_up(upstream):
                    connection.fail(Slow(f"no answer within {patience.try_s:g} s"))
            for upstream in self._kept:
                for connection in [i for i in upstream.idle if i.idle_since < now - IDLE_S]:
                    upstream.idle.remove(connection)
                    connection.close()

    def forget(self, upstream: Upstream) -> None:
        self._kept.discard(upstream)
        upstream.close()

    def _keep(self, upstream: Upstream, connection: Connection) -> None:
        if not connection.open:
            return
        if len(upstream.idle) < IDLE_KEPT and upstream in self._kept:
            connection.idle_since = self._loop.time()
            upstream.idle.append(connection)
        else:
            connection.close()

    async def _connect(self, upstream: Upstream) -> Connection:
        self._kept.add(upstream)
        make, host, port = partial(Connection, self._loop), upstream.host, upstream.port
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await self._loop.create_connection(make, host, port)
        except TimeoutError:
            raise ConnectFailed(f"no connection within {CONNECT_TIMEOUT_S:g} s") from None
        except OSError as error:
            raise ConnectFailed(error.strerror or str(error)) from None
        return connection


def _has_length(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in headers)


def _says_close(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(
        name.lower() == b"connection" and b"close" in value.lower() for name, value in headers
    )

"""One HTTP/1.1 connection to an upstream: one request at a time, httptools to parse the answer.

A request is bytes; an answer is gathered whole. After `Broken`, `Slow` or `TimedOut` the request
may have been carried out; after `ConnectFailed` nothing was sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

import httptools

from services.api_gateway.eager import Pending
from services.api_gateway.messages import Headers

ANSWER_MAX_BYTES = 16 * 1024 * 1024


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
    headers: Headers
    body: bytes


@dataclass(slots=True, eq=False)
class Connection(asyncio.Protocol):
    """One connection. Between requests it is idle; whatever comes then makes it unusable."""

    open: bool = False
    uses: int = 0
    idle_since: float = 0.0
    slow_at: float = 0.0  # from then on the sweep asks whether to give the request up
    deadline: float = 0.0
    _pending: Pending[Answer] | None = None
    _headers: Headers = field(default_factory=list)
    _body: bytes | bytearray = b""
    _head_only: bool = False
    _received: bool = False
    _status: int = 0  # 0 until the headers are complete
    _parser: httptools.HttpResponseParser = field(init=False)
    _transport: asyncio.Transport = field(init=False)

    def __post_init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)

    @property
    def usable(self) -> bool:
        """Whether a request may be written: to a closed transport it would be an error."""
        return self.open and not self._transport.is_closing()

    def request(self, data: bytes, head_only: bool) -> Pending[Answer]:
        """Send a request, whole. What is pending fails with Stale, Broken, or as `fail` says."""
        self.uses += 1
        self._head_only = head_only
        self._received = False
        pending: Pending[Answer] = Pending()
        self._pending = pending
        self._headers = []
        self._body = b""
        self._status = 0
        self._transport.write(data)
        return pending

    def close(self) -> None:
        self.open = False
        self._transport.abort()

    def fail(self, error: UpstreamError) -> None:
        """Close, and fail the request that waits."""
        self.close()
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.fail(error)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it.
        self.open = True

    def data_received(self, data: bytes) -> None:
        if self._pending is None:  # An answer without a request.
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
        if self._pending is None:
            return
        if self._status and exc is None and not _has_length(self._headers):
            self._complete(keep=False)  # The end of the connection is the end of the body.
        elif self.uses > 1 and not self._received:
            self.fail(Stale("the kept connection was closed"))
        else:
            self.fail(Broken(f"the connection was closed: {exc or 'end of stream'}"))

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._pending is None:  # More than one answer came at once.
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
        if status > 599:
            self.fail(Broken(f"there is no status {status}"))
            return
        self._status = status
        if self._head_only:  # The parser can't know that no body follows: it is done with.
            keep = self._parser.get_http_version() == "1.1" and not _says_close(self._headers)
            self._parser = httptools.HttpResponseParser(self)
            self._complete(keep)

    def on_body(self, body: bytes) -> None:
        if self._pending is None:
            return
        if not self._body:
            self._body = body
            return
        if isinstance(self._body, bytes):
            self._body = bytearray(self._body)
        self._body += body
        if len(self._body) > ANSWER_MAX_BYTES:
            self.fail(Broken(f"the answer is larger than {ANSWER_MAX_BYTES} bytes"))

    def on_message_complete(self) -> None:
        if self._status and self._pending is not None:
            self._complete(self._parser.should_keep_alive())

    def _complete(self, keep: bool) -> None:
        pending, self._pending = self._pending, None
        if not keep and self.open:
            self.close()
        if pending is not None:
            pending.set(Answer(self._status, self._headers, bytes(self._body)))


def _has_length(headers: Headers) -> bool:
    return any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in headers)


def _says_close(headers: Headers) -> bool:
    return any(
        name.lower() == b"connection" and b"close" in value.lower() for name, value in headers
    )

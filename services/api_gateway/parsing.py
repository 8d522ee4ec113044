"""A client connection's bytes → its requests. httptools parses; what it does not refuse is here.

Upgrade is ignored, the body with it is not; trailers are no headers; a head is bounded in size.
"""

from __future__ import annotations

from collections.abc import Callable

import httptools

from services.api_gateway.messages import Headers
from services.api_gateway.refusal import (
    HEAD_MAX_BYTES,
    HEADERS_MAX,
    LARGE_HEAD,
    MALFORMED,
    TUNNEL,
    URL_MAX_BYTES,
    WEBSOCKET,
    NoRequest,
    too_large,
)
from services.api_gateway.request import ClientLink, ClientRequest

#: What no URL has, httptools takes, and the services' server refuses with an empty 400.
_STRANGE, _STRANGE_IN_PATH = b'<>"', b"`"


class RequestParser:
    """Parses what one client sends. `take` is given each request when its head is complete."""

    def __init__(
        self, link: ClientLink, peer: str, take: Callable[[ClientRequest], object]
    ) -> None:
        self.in_head = False  # a head has begun, and not ended
        self.whole = True  # of the last request nothing is missing
        self._link = link
        self._peer = peer
        self._take = take
        self._parser = httptools.HttpRequestParser(self)
        # What follows a request that says "close" is no error: that request gets its answer.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._last: ClientRequest | None = None
        self._url = b""
        self._headers: Headers = []
        self._expects = False
        self._head_bytes = 0  # of a head that has not ended, at least
        self._fed_bytes = 0  # of such a head, at most
        self._ignoring_upgrade = False
        self._no_request: NoRequest | None = None

    def feed(self, data: bytes) -> NoRequest | None:
        """Parse; if what came is no request, say why."""
        continued = self.in_head
        self._fed_bytes = len(data) + (self._fed_bytes if continued else 0)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            return self._no_request or MALFORMED
        self._head_bytes = self._head_bytes + len(data) if continued and self.in_head else 0
        return LARGE_HEAD if self._head_bytes > HEAD_MAX_BYTES else None

    def close(self) -> None:
        """Let go of what knows us: cycles would be left to the collector."""
        del self._parser, self._link, self._take
        self._last = None

    # What httptools calls.

    def on_message_begin(self) -> None:
        self.in_head = True
        self.whole = False
        self._url = b""
        self._headers = []
        self._expects = False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_head:
            return  # a trailer
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        parser, headers = self._parser, self._headers
        if self._fed_bytes > URL_MAX_BYTES or len(headers) > HEADERS_MAX:
            self._no_request = too_large(self._url, headers)
        method = parser.get_method()
        if parser.should_upgrade():
            if method == b"CONNECT":
                self._no_request = TUNNEL
            elif any(n == b"upgrade" and v.lower() == b"websocket" for n, v in headers):
                self._no_request = WEBSOCKET
            self._ignoring_upgrade = True
        if self._no_request:
            raise ValueError(self._no_request.code)
        if self._ignoring_upgrade:
            return  # the head comes again
        url = httptools.parse_url(self._url)  # raises for a target that is none
        path, version = url.path, parser.get_http_version()
        if self._url.translate(None, _STRANGE) != self._url or _STRANGE_IN_PATH in path:
            raise ValueError("not a URL")
        path.decode("ascii")
        self._last = request = ClientRequest(
            self._link, self._peer, method.decode(), path, url.query or b"", version, headers
        )
        request.expects = self._expects
        request.keep_alive = version != "1.0" and parser.should_keep_alive()
        self.in_head = False
        self._take(request)

    def on_body(self, body: bytes) -> None:
        if self._last is not None:
            self._last.add_body(body)

    def on_message_complete(self) -> None:
        if self._ignoring_upgrade or self._last is None:
            return
        self.whole = True
        self._last.end_body()

    def _feed(self, data: bytes) -> None:
        """Parse; after a head that asks for an upgrade, once more without that."""
        while True:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                url, headers, rest = self._url, self._headers, data[upgrade.args[0] :]
                lines = [b"%s: %s" % pair for pair in headers if pair[0] != b"upgrade"]
                start = self._parser.get_method() + b" " + url + b" HTTP/"
                start += self._parser.get_http_version().encode()
                data = b"\r\n".join((start, *lines, b"", rest))
                self._ignoring_upgrade = False
                self._parser = httptools.HttpRequestParser(self)

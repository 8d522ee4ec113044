"""What the server itself answers: to what is no request, and to heads too large or too slow."""

from __future__ import annotations

from typing import NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from services.api_gateway.messages import CLOSE, PROBLEM, Headers, error_body, own_lines
from services.common.request_id import RequestIds

URL_MAX_BYTES = 8 * 1024
HEAD_MAX_BYTES = 32 * 1024
HEADERS_MAX = 80  # the services' server takes 100, and the gateway adds some
HEAD_S = 10.0  # from a connection's start, or a head's first byte, to the end of that head

_ids = RequestIds()


class NoRequest(NamedTuple):
    """Why what came is answered by the server itself."""

    status: int
    code: str
    message: str

    def answer(self) -> bytes:
        """Write the answer, the connection's last."""
        request_id = _ids.make()
        body = error_body(self.status, self.code, self.message, request_id)
        lines = own_lines(request_id.encode(), body, PROBLEM, CLOSE)
        return b"".join((STATUS_LINE[self.status], *lines, b"\r\n", body))


MALFORMED = NoRequest(400, "not_http", "the request is not well-formed HTTP")
LATE = NoRequest(408, "head_timeout", f"the head did not come within {HEAD_S:g} s")
WEBSOCKET = NoRequest(501, "no_websocket", "there are no WebSockets here")
TUNNEL = NoRequest(501, "no_tunnel", "CONNECT is not possible here")
LONG_URL = NoRequest(414, "uri_too_long", f"the URL is longer than {URL_MAX_BYTES} bytes")
LARGE_HEAD = NoRequest(
    431,
    "headers_too_large",
    f"the head is larger than {HEAD_MAX_BYTES} bytes, or has more than {HEADERS_MAX} headers",
)


def too_large(url: bytes, headers: Headers) -> NoRequest | None:
    """Say whether a head is larger than the limits."""
    if len(url) > URL_MAX_BYTES:
        return LONG_URL
    size = len(url) + sum(len(name) + len(value) + 4 for name, value in headers)
    large = size > HEAD_MAX_BYTES or len(headers) > HEADERS_MAX
    return LARGE_HEAD if large else None

"""What hostile clients send: one vector is what one of them sends on one connection.

Its statuses are those that services/README.md allows its first answer; 0 is a connection that is
closed without one. `@ID@` stands for the id of the vector's own request, `@IN@` for the id of a
request that it hides in itself.
"""

from __future__ import annotations

from dataclasses import dataclass

CLOSED = 0
BODY_MAX = 65_536

OK, BAD, NOT_FOUND = {200}, {400}, {404}
UNFINISHED = {CLOSED, 400, 408}
#: What the services answer to a request that is whole but makes no sense to them.
APPLICATION = {200, 400, 404, 405, 409, 413, 422}
#: Whatever is neither a failure of ours nor silence: for requests that chance has made.
ANY = {CLOSED, 200, 204, *range(400, 432), 501, 505}

ID = b"X-Request-ID: @ID@\r\n"
HIDDEN = b"GET /api/products/13 HTTP/1.1\r\nHost: x\r\nX-Request-ID: @IN@\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Vector:
    """What one client sends, and which statuses its first answer may have."""

    name: str
    data: bytes
    allowed: frozenset[int]
    piece_bytes: int = 1 << 20  # how much is sent at once


def entries(table: str) -> list[bytes]:
    """Read bytes from a table: escapes as in Python, ¦ between two entries."""
    return [
        text.encode("latin-1").decode("unicode_escape").encode("latin-1")
        for text in table.split("¦")
    ]


def vector(name: str, data: bytes, allowed: set[int], piece_bytes: int = 1 << 20) -> Vector:
    return Vector(name, data, frozenset(allowed), piece_bytes)


def get(path: bytes = b"/api/products/3", headers: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"GET %s HTTP/%s\r\nHost: x\r\n%s%s\r\n" % (path, version, ID, headers)


def post(headers: bytes, body: bytes, path: bytes = b"/api/cart", version: bytes = b"1.1") -> bytes:
    return b"POST %s HTTP/%s\r\nHost: x\r\n%s%s\r\n%s" % (path, version, ID, headers, body)


def sized(body: bytes, path: bytes = b"/api/cart", headers: bytes = b"") -> bytes:
    return post(headers + b"Content-Length: %d\r\n" % len(body), body, path)

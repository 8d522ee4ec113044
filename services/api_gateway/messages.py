"""What passes through the gateway and what does not: header rules, pure. Source: RFC 9110, 7.6."""

from __future__ import annotations

import json
from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer"
    b" transfer-encoding upgrade".split()
)
# The gateway sets these itself: the body is sent whole, the id may be a new one.
_NOT_ON = HOP_BY_HOP | {b"content-length", b"expect", b"x-request-id", b"x-forwarded-for"}
_NOT_BACK = HOP_BY_HOP | {b"content-length", b"server", b"date", b"x-request-id"}


def named_by_connection(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Name the headers that a Connection header declares to be for this hop only."""
    named: set[bytes] = set()
    for name, value in headers:
        if name.lower() == b"connection":
            named.update(token.strip().lower() for token in value.split(b","))
    return frozenset(named)


def request_bytes(
    method: str, target: bytes, headers: Headers, request_id: bytes, client: str, body: bytes | None
) -> bytes:
    """Write the request for the upstream. Header names in `headers` are in lower case."""
    parts = [method.encode(), b" ", target, b" HTTP/1.1\r\n"]
    forwarded_for = b""
    for name, value in headers:
        if name not in _NOT_ON:
            if b"_" not in name:  # WSGI cannot tell _ from -
                parts += (name, b": ", value, b"\r\n")
        elif name == b"x-forwarded-for":
            forwarded_for += value + b", "
        elif name == b"connection" and value.lower() not in {b"close", b"keep-alive"}:
            dropped = named_by_connection(headers) - _NOT_ON | {name}
            passed = [header for header in headers if header[0] not in dropped]
            return request_bytes(method, target, passed, request_id, client, body)
    parts += (b"x-forwarded-for: ", forwarded_for, client.encode())
    parts += (b"\r\nx-request-id: ", request_id)
    if body is not None:
        parts += (b"\r\ncontent-length: %d\r\n\r\n" % len(body), body)
    else:
        parts.append(b"\r\n\r\n")
    return b"".join(parts)


def answer_headers(headers: Headers, request_id: bytes, status: int, body: bytes | None) -> Headers:
    """Give the headers for the client. `body` None: an answer to HEAD, which keeps its length."""
    kept: Headers = []
    named = frozenset[bytes]()
    length = None if body is None else b"%d" % len(body)
    for name, value in headers:
        lower = name.lower()
        if lower not in _NOT_BACK:
            kept.append((lower, value))
        elif lower == b"content-length" and body is None:
            length = value
        elif lower == b"connection" and value.lower() not in {b"close", b"keep-alive"}:
            named = named_by_connection(headers)
    if named:
        kept = [(name, value) for name, value in kept if name not in named]
    if length is not None and status not in {204, 304}:
        kept.append((b"content-length", length))
    kept.append((b"x-request-id", request_id))
    return kept


def error_body(code: str, message: str, request_id: str) -> bytes:
    """Write an error as the services do."""
    body = {"error": code, "message": message, "request_id": request_id}
    return json.dumps(body, separators=(",", ":")).encode()


def own_headers(request_id: bytes, body: bytes) -> Headers:
    """Give the headers of an answer of the gateway's own."""
    return [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id),
    ]

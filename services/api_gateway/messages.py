"""What passes through the gateway and what does not: header rules, pure. Source: RFC 9110, 7.6."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from services.common.problems import MEDIA_TYPE, problem

Headers = list[tuple[bytes, bytes]]
JSON, PROBLEM = b"application/json", MEDIA_TYPE.encode()
CLOSE, RETRY = b"connection: close\r\n", b"retry-after: 1\r\n"

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer"
    b" transfer-encoding upgrade".split()
)
# The gateway sets these itself: the body is sent whole, the id may be a new one.
_NOT_ON = HOP_BY_HOP | {b"content-length", b"expect", b"x-request-id", b"x-forwarded-for"}
_HEEDED = _NOT_ON | {b"host", b"idempotency-key"}
_NOT_BACK = HOP_BY_HOP | {b"content-length", b"server", b"date", b"x-request-id"}
_PLAIN = frozenset({b"close", b"keep-alive"})


@dataclass(slots=True)
class Heeded:
    """What the gateway heeds of a request's headers, and the lines that pass on."""

    lines: list[bytes] = field(default_factory=list)
    hosts: list[bytes] = field(default_factory=list)
    codings: list[bytes] = field(default_factory=list)
    keys: int = 0  # headers Idempotency-Key
    has_length: bool = False
    request_id: bytes = b""
    forwarded_for: bytes = b""  # each followed by a comma


def heed(headers: Headers) -> Heeded:
    """Read a request's headers, in one pass. Their names are in lower case."""
    heeded = Heeded()
    lines = heeded.lines
    for header in headers:
        name, value = header
        if name not in _HEEDED:
            if b"_" not in name:  # WSGI cannot tell _ from -
                lines.append(b"%s: %s\r\n" % header)
        elif name == b"host":
            heeded.hosts.append(value)
            lines.append(b"host: %s\r\n" % value)
        elif name == b"x-request-id":
            heeded.request_id = value
        elif name == b"x-forwarded-for":
            heeded.forwarded_for += value + b", "
        elif name == b"content-length":
            heeded.has_length = True
        elif name == b"transfer-encoding":
            heeded.codings.append(value)
        elif name == b"idempotency-key":
            heeded.keys += 1
            lines.append(b"idempotency-key: %s\r\n" % value)
        elif name == b"connection" and value.lower() not in _PLAIN:
            own = named_by_connection(headers) - _HEEDED | {name}
            return heed([header for header in headers if header[0] not in own])
    return heeded


def named_by_connection(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Name the headers that a Connection header declares to be for this hop only."""
    named: set[bytes] = set()
    for name, value in headers:
        if name.lower() == b"connection":
            named.update(token.strip().lower() for token in value.split(b","))
    return frozenset(named)


def request_bytes(
    method: str, target: bytes, heeded: Heeded, request_id: bytes, client: str, body: bytes | None
) -> bytes:
    """Write the request for the upstream."""
    head = b"%s %s HTTP/1.1\r\n%sx-forwarded-for: %s%s\r\nx-request-id: %s\r\n" % (
        method.encode(),
        target,
        b"".join(heeded.lines),
        heeded.forwarded_for,
        client.encode(),
        request_id,
    )
    return head + (b"\r\n" if body is None else b"content-length: %d\r\n\r\n%s" % (len(body), body))


def answer_lines(
    headers: Headers, request_id: bytes, status: int, body: bytes | None
) -> list[bytes]:
    """Give the lines for the client. `body` None: an answer to HEAD, which keeps its length."""
    lines = []
    length = None if body is None else b"%d" % len(body)
    for header in headers:
        name = header[0].lower()
        if name not in _NOT_BACK:
            lines.append(b"%s: %s\r\n" % (name, header[1]))
        elif name == b"content-length" and body is None:
            length = header[1]
        elif name == b"connection" and header[1].lower() not in _PLAIN:
            own = named_by_connection(headers) - _NOT_BACK | {name}
            passed = [header for header in headers if header[0].lower() not in own]
            return answer_lines(passed, request_id, status, body)
    if length is not None and status not in {204, 304}:
        lines.append(b"content-length: %s\r\n" % length)
    lines.append(b"x-request-id: %s\r\n" % request_id)
    return lines


def error_body(status: int, code: str, message: str, request_id: str) -> bytes:
    """Write an error as the services do."""
    body = problem(status, code, message, request_id)
    return json.dumps(body, separators=(",", ":")).encode()


def own_lines(request_id: bytes, body: bytes, media_type: bytes, *more: bytes) -> list[bytes]:
    """Give the lines of an answer of the gateway's own."""
    return [
        b"content-type: %s\r\n" % media_type,
        b"cache-control: no-store\r\n",
        b"content-length: %d\r\n" % len(body),
        b"x-request-id: %s\r\n" % request_id,
        *more,
    ]

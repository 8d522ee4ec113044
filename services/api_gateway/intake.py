"""What the gateway takes from a client: the checks of a request's head, and its body.

A body has 5 s to begin with, then as long as 1,000 bytes come each second, and 10 s in all. Where
too many are awaited, the one that is awaited longest goes: a body that comes at once always finds
room, however many clients send slowly.
Source: RFC 9112, 3.2 (Host), 6.1 (Transfer-Encoding).
"""

from __future__ import annotations

import asyncio
import re

from services.api_gateway.messages import CLOSE, Heeded
from services.api_gateway.request import ClientRequest

BODY_GRACE_S, BODY_MIN_RATE, BODY_PATIENCE_S = 5.0, 1000, 10.0
#: Bodies that are awaited at once, each at most as large as the limit.
BODIES_MAX, BODIES_OF_ONE_CLIENT_MAX = 512, 256

_host = re.compile(
    rb"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+(?::\d{0,5})?|\[[0-9A-Fa-f:.]+\](?::\d{0,5})?"
).fullmatch

_Awaited = dict[asyncio.Timeout, str]  # the bodies' time limits, oldest first: their clients


class Refusal(Exception):
    """An answer of the gateway's own, with more header lines than each such has."""

    def __init__(self, status: int, code: str, message: str, *lines: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.lines = lines


def check_head(http_version: str, hosts: list[bytes]) -> None:
    """Refuse another version of HTTP, and a Host that is missing, double or invalid.

    Raises: Refusal 400, 505.
    """
    if http_version not in {"1.1", "1.0"}:
        raise Refusal(505, "http_version", "only HTTP/1.1 and HTTP/1.0 are spoken here", CLOSE)
    if not hosts and http_version == "1.0":
        return
    if len(hosts) != 1 or not _host(hosts[0]):
        raise Refusal(400, "bad_host", "there must be one Host, with a valid name", CLOSE)


def check_framing(http_version: str, heeded: Heeded) -> None:
    """Refuse a transfer coding but chunked (the parser refuses one beside a length), and two keys.

    Raises: Refusal 400, 501.
    """
    for coding in heeded.codings:
        if http_version == "1.0":
            raise Refusal(400, "bad_framing", "HTTP/1.0 has no Transfer-Encoding", CLOSE)
        if coding.strip().lower() != b"chunked":
            raise Refusal(501, "unknown_coding", "the only Transfer-Encoding is chunked", CLOSE)
    if heeded.keys > 1:
        raise Refusal(400, "bad_request", "Idempotency-Key must be one header", CLOSE)


def check_reads(method: str) -> None:
    """Refuse what does not only read. Raises: Refusal 405."""
    if method not in {"GET", "HEAD"}:
        message = f"{method} is not possible here, only GET, HEAD"
        raise Refusal(405, "method_not_allowed", message, b"allow: GET, HEAD\r\n")


def client_of(heeded: Heeded, peer: str) -> str:
    """Name the client: as the last X-Forwarded-For, nginx', says; else who is connected."""
    if heeded.forwarded_for:
        return heeded.forwarded_for[:-2].rpartition(b",")[2].strip().decode("latin-1")
    return peer


class Intake:
    """The bodies that one gateway awaits."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._all: _Awaited = {}
        self._of_client: dict[str, _Awaited] = {}

    async def body(self, request: ClientRequest, heeded: Heeded) -> bytes:
        """Gather a request's body. Raises: Refusal 400, 408, 413."""
        for name, value in request.headers:  # Before a byte is read: Expect is answered by 413.
            if name == b"content-length" and int(value) > self._max_bytes:
                raise self._too_large()
        client = client_of(heeded, request.peer)
        start = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(start + BODY_GRACE_S) as patience:
                self._make_room(client, start)
                self._all[patience] = self._of_client.setdefault(client, {})[patience] = client
                return await self._gather(request, patience, start)
        except TimeoutError:
            raise Refusal(408, "body_timeout", "the body came too slowly", CLOSE) from None
        finally:
            self._forget(patience)

    async def _gather(
        self, request: ClientRequest, patience: asyncio.Timeout, start: float
    ) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            came = await request.read()
            if came is None:
                raise Refusal(400, "incomplete_body", "the client left", CLOSE)
            part, more = came
            size += len(part)
            if size > self._max_bytes:
                raise self._too_large()
            parts.append(part)
            if not more:
                return b"".join(parts)
            if patience in self._all:
                allowed_s = min(BODY_PATIENCE_S, BODY_GRACE_S + size / BODY_MIN_RATE)
                patience.reschedule(start + allowed_s)

    def _make_room(self, client: str, now: float) -> None:
        """End the body that is awaited longest, of this client or of all, where there are many."""
        own = self._of_client.get(client, {})
        full = own if len(own) >= BODIES_OF_ONE_CLIENT_MAX else self._all
        if full is own or len(full) >= BODIES_MAX:
            oldest = next(iter(full))
            self._forget(oldest)
            if not oldest.expired():
                oldest.reschedule(now)

    def _forget(self, patience: asyncio.Timeout) -> None:
        client = self._all.pop(patience, None)
        if client is not None:
            own = self._of_client[client]
            del own[patience]
            if not own:
                del self._of_client[client]

    def _too_large(self) -> Refusal:
        message = f"the body is larger than {self._max_bytes} bytes"
        return Refusal(413, "body_too_large", message, CLOSE)

"""A browser's connections to the stack, and what its answers say."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from twinstack.linux import child
from twinstack.order_check.history import Kind, OutcomeWord, Shown, ShownLine
from twinstack.world import Endpoint

#: Longer than any hop behind it waits.
TIMEOUT_S = 8.0
#: Statuses of the 4xx that do not say what became of the request.
_RETRY = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer; status 0: none came."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Any = None
    error: str = ""

    @property
    def outcome(self) -> OutcomeWord:
        if 200 <= self.status < 300:
            return "ok"
        return "refused" if 400 <= self.status < 500 and self.status not in _RETRY else "unknown"


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where customers enter the stack."""

    endpoint: Endpoint
    namespace: Path | None = None  # of the host; None: ours
    kept: bool = True  # else each request opens a connection, as new customers do


class _Link(http.client.HTTPConnection):
    """A connection in the host's namespace."""

    def __init__(self, entrance: Entrance, timeout_s: float) -> None:
        super().__init__(entrance.endpoint.address, entrance.endpoint.port, timeout=timeout_s)
        self.namespace = entrance.namespace

    def connect(self) -> None:
        self.sock = child.socket_in(self.namespace)
        self.sock.settimeout(self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.connect((self.host, self.port))


class BrowserWindow:
    """One connection to the stack; opened again when it breaks."""

    def __init__(self, entrance: Entrance, timeout_s: float = TIMEOUT_S) -> None:
        self._link = _Link(entrance, timeout_s)
        self._kept = entrance.kept

    def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        data = None if body is None else json.dumps(body).encode()
        words = {**(headers or {}), **({"Content-Type": "application/json"} if data else {})}
        try:
            self._link.request(method, path, data, words)
            response = self._link.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as failure:
            self._link.close()
            return Reply(0, error=f"{type(failure).__name__}: {failure}")
        if not self._kept:
            self._link.close()
        document: Any = None
        with suppress(ValueError):
            document = json.loads(text) if text else None
        code = document.get("error", "") if isinstance(document, dict) else ""
        names = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, names, document, str(code))

    def close(self) -> None:
        self._link.close()


Windows = tuple[BrowserWindow, BrowserWindow]


@contextmanager
def windows(entrance: Entrance) -> Iterator[Windows]:
    """Give two windows while the block lasts."""
    pair = BrowserWindow(entrance), BrowserWindow(entrance)
    try:
        yield pair
    finally:
        for window in pair:
            window.close()


def shown_in(kind: Kind, document: Any) -> Shown | None:
    """Read what an answer says; None if it is not of that kind; pure."""
    try:
        if kind == "product-read":
            products = document.get("products", [document])
            fields = ("id", "stock", "price_cents")
            return Shown(tuple(ShownLine(*(int(p[f]) for f in fields)) for p in products))
        fields = ("product_id", "quantity", "unit_price_cents")
        lines = tuple(ShownLine(*(int(i[f]) for f in fields)) for i in document["items"])
        order_id = "" if kind.startswith("cart") else str(document["id"])
        return Shown(tuple(sorted(lines)), int(document["total_cents"]), order_id)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def session_in(reply: Reply) -> str:
    """Give the session cookie that an answer sets, or ""."""
    with suppress(CookieError):
        jar = SimpleCookie(reply.headers.get("set-cookie", ""))
        if "session" in jar:
            return jar["session"].value
    return ""

"""The load while faults strike: a few clients on this host that read products and place orders.

Each request has a moment of its own, so a client that waits falls behind and does not catch up:
the load is bounded in rate and in clients. A new connection for each request, as new clients have.
An order has a key, and is sent with it until it is decided: a client's own retry.
"""

from __future__ import annotations

import http.client
import itertools
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from twinstack.errors import CannotTell
from twinstack.linux import child
from twinstack.world import Endpoint

READERS, BUYERS = 3, 2
#: Seconds between the requests of one client.
READ_EVERY_S, BUY_EVERY_S = 0.1, 0.25
#: More than the longest time that the gateway waits for an upstream.
TIMEOUT_S = 8.0
_NO_ANSWER = 0
_SESSION = "X-Session-ID"
_DECIDED_S = 40.0


Kind = Literal["read", "order"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. Units: seconds of the monotonic clock."""

    kind: Kind
    at: float
    took: float
    status: int  # HTTP's, 0 without an answer
    error: str = ""

    @property
    def good(self) -> bool:
        return self.status in {200, 201}


@dataclass(frozen=True, slots=True)
class Order:
    """One order that was asked for; without an id none was acknowledged."""

    key: str
    order_id: str = ""


@dataclass
class Clients:
    """The clients at work; what they saw so far."""

    endpoint: Endpoint
    namespace: Path | None = None  # of the host; None: ours
    attempts: list[Asked] = field(default_factory=list)
    waiting: dict[int, float] = field(default_factory=dict)  # thread → when it sent its request
    orders: dict[str, Order] = field(default_factory=dict)  # by key
    stop: threading.Event = field(default_factory=threading.Event)
    bought: int = 0  # the product's id
    read: int = 0
    stock: int = 0  # before the first order
    session: str = ""  # of every order, as the order service gives it out
    _keys: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        run = secrets.token_hex(6)
        self._keys = (f"chaos-{run}-{number}" for number in itertools.count(1))

    def look(self) -> None:
        """Choose what to read and what to buy: what there is most of. Raises: CannotTell."""
        status, body, error = self._send("GET", "/api/products")
        products = sorted(body.get("products", ()), key=lambda each: -int(each["stock"]))
        if status != 200 or len(products) < 2:
            cause = error or f"GET /api/products is answered {status}"
            raise CannotTell("chaos", "would show nothing", cause, "see that it answers")
        self.bought, self.read = int(products[0]["id"]), int(products[1]["id"])
        self.stock = self.stock_now()
        self._send("GET", "/api/cart")
        self.session = self.session or secrets.token_urlsafe(18)

    def stock_now(self) -> int:
        """Give the stock of what is bought. Raises: CannotTell."""
        status, body, error = self._send("GET", f"/api/products/{self.bought}")
        if status != 200:
            cause = error or f"its product is answered {status}"
            raise CannotTell("stock", "cannot be read", cause)
        return int(body["stock"])

    def show(self, order: Order) -> tuple[int, str]:
        """Ask again for an order by its key; give the status, and the id that it has."""
        status, body, _ = self._send("POST", "/api/orders", self._asked(), order.key)
        return status, str(body.get("id", ""))

    def reading(self) -> None:
        """Read a product again and again until the end."""
        for _ in self._moments(READ_EVERY_S):
            self._ask("read", "GET", f"/api/products/{self.read}")

    def buying(self) -> None:
        """Place order after order until the end, each again until it is decided."""
        for _ in self._moments(BUY_EVERY_S):
            order = Order(next(self._keys))
            self.orders[order.key] = order
            self._buy(order)

    def _buy(self, order: Order) -> None:
        deadline = time.monotonic() + _DECIDED_S
        while time.monotonic() < deadline and not self.stop.is_set():
            status, body = self._ask("order", "POST", "/api/orders", self._asked(), order.key)
            if status in {200, 201}:
                self.orders[order.key] = Order(order.key, str(body["id"]))
                return
            if 400 <= status < 500 and status not in {408, 429}:
                return  # refused, for good: judged by its status
            time.sleep(BUY_EVERY_S)

    def _ask(
        self, kind: Kind, method: str, path: str, body: object = None, key: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Send one request that counts; give the status and the JSON of the answer."""
        at = self.waiting[threading.get_ident()] = time.monotonic()
        status, answer, error = self._send(method, path, body, key)
        self.attempts.append(Asked(kind, at, time.monotonic() - at, status, error))
        del self.waiting[threading.get_ident()]
        return status, answer

    def _asked(self) -> dict[str, Any]:
        return {"items": [{"product_id": self.bought, "quantity": 1}]}

    def _moments(self, every_s: float) -> Iterator[None]:
        due = time.monotonic()
        while not self.stop.wait(max(0.0, due - time.monotonic())):
            yield
            due = max(due + every_s, time.monotonic())

    def _send(
        self, method: str, path: str, body: object = None, key: str = ""
    ) -> tuple[int, dict[str, Any], str]:
        """Send one request; give the status, the JSON of the answer, and why there is none."""
        address, port = self.endpoint.address, self.endpoint.port
        connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT_S)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key:
            headers |= {"Idempotency-Key": key, _SESSION: self.session}
        try:
            if self.namespace is not None:
                connection.sock = child.socket_in(self.namespace)
                connection.sock.settimeout(TIMEOUT_S)
                connection.sock.connect((address, port))
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, headers)
            response = connection.getresponse()
            raw = response.read()
            self.session = self.session or response.getheader(_SESSION) or ""
            answer = json.loads(raw) if raw else {}
            return response.status, answer if isinstance(answer, dict) else {}, ""
        except (OSError, http.client.HTTPException, ValueError) as error:
            return _NO_ANSWER, {}, f"{type(error).__name__}: {error}"
        finally:
            connection.close()


@contextmanager
def at_work(endpoint: Endpoint, namespace: Path | None) -> Iterator[Clients]:
    """Send the load while the block lasts. Raises: CannotTell when nothing is answered before."""
    clients = Clients(endpoint, namespace)
    clients.look()
    work = [clients.reading] * READERS + [clients.buying] * BUYERS
    threads = [threading.Thread(target=each, daemon=True) for each in work]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        clients.stop.set()
        for thread in threads:
            thread.join(TIMEOUT_S + 1)

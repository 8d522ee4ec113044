"""A customer over HTTP: does a session's acts and records every request whole.

A well-behaved one: it keeps the session cookie that it is given, repeats an order whose outcome is
unknown with the same key until the answer is definite, and repeats nothing else that changes.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from twinstack.order_check.browser import Windows, session_in, shown_in
from twinstack.order_check.history import Kind, Lines, Operation
from twinstack.order_check.sessions import Act

#: How long an order is repeated before it is left for the end.
PATIENCE_S = 5.0
_PAUSE_S, _PAUSE_MOST_S = 0.05, 0.5
#: A cart with more unknown outcomes is left: an order that explains it is always found.
_UNKNOWN_MOST = 3


class Recorder:
    """Numbers operations and keeps them, from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._numbers = itertools.count(1)
        self._sent: dict[int, float] = {}  # number → when, until it ends
        self.operations: list[Operation] = []
        self.keys = 0  # of orders, used so far

    def now_s(self) -> float:
        return self._clock() - self._start

    def begin(self) -> tuple[int, float]:
        """Give the number of a request that is sent now, and the moment."""
        number, now_s = next(self._numbers), self.now_s()
        self._sent[number] = now_s
        return number, now_s

    def end(self, operation: Operation) -> None:
        self.operations.append(operation)
        del self._sent[operation.number]

    def whole(self) -> tuple[Operation, ...]:
        """Give all operations as they were sent."""
        return tuple(sorted(self.operations, key=lambda operation: operation.number))

    def pending(self) -> tuple[float, ...]:
        """Give when each request was sent that has not ended."""
        return tuple(self._sent.values())


@dataclass(slots=True)
class Keyed:
    """A keyed order as it is sent, each time alike."""

    kind: Kind
    key: str
    lines: Lines = ()
    order_id: str = ""  # once it is acknowledged

    @property
    def body(self) -> object:
        return {"from_cart": True} if self.kind == "checkout" else {"items": _items(self.lines)}


class Customer:
    """One session, over two windows that it may share with other sessions of the same thread.

    `stopped` ends the repeats of an order early: it is left for the end.
    """

    def __init__(
        self,
        windows: Windows,
        recorder: Recorder,
        session: int,
        run: str,  # makes its keys differ from another run's
        stopped: threading.Event,
    ) -> None:
        self.windows = windows
        self._recorder = recorder
        self._stopped = stopped
        self._cookie = ""
        self._unknown_in_cart = 0
        self._orders: list[Keyed] = []  # acknowledged
        self._last_checkout: Keyed | None = None
        self._keys = itertools.count(1)
        self._run = run
        self.session = session
        self.undecided: list[Keyed] = []

    @property
    def has_cart(self) -> bool:
        return self._last_checkout is not None

    def open(self) -> None:
        """Get a session, which a service issues with the first cart that it shows."""
        while self.show_cart().outcome != "ok" and not self._stopped.wait(_PAUSE_S):
            pass

    def act(self, act: Act) -> None:
        """Do one act; one that needs what the session does not have is left out."""
        chosen = self._orders[act.which % len(self._orders)] if self._orders else None
        if act.does in {"order", "order twice"}:
            self._place(Keyed("order", self._key(), act.lines), twice=act.does == "order twice")
        elif act.does == "order shared":
            self._place(Keyed("order", f"{self._run}-shared-{self.session // 4}", act.lines))
        elif act.does == "look":
            path = f"/api/products/{act.which}" if act.which else "/api/products"
            self._do("product-read", "GET", path, product_id=act.which)
        elif act.does == "repeat" and chosen:
            self._place(chosen)
        elif act.does == "reuse" and chosen and chosen.kind == "order":
            if act.lines != chosen.lines:
                self._send(Keyed("order", chosen.key, act.lines))
        elif act.does == "read" and chosen:
            path = f"/api/orders/{chosen.order_id}"
            self._do("order-read", "GET", path, order_id=chosen.order_id)
        elif self._unknown_in_cart < _UNKNOWN_MOST:
            self._in_cart(act)

    def show_cart(self) -> Operation:
        return self._do("cart-read", "GET", "/api/cart")

    def settle(self, end_s: float) -> None:
        """Repeat what is undecided until it is decided, or until a moment of the recorder's."""
        for keyed in self.undecided[:]:
            self._place(keyed, end_s=end_s)

    def _in_cart(self, act: Act) -> None:
        body: object = None
        if act.does == "add":
            ((product, quantity),) = act.lines
            body = {"product_id": product, "quantity": quantity}
            self._do("cart-add", "POST", "/api/cart", body, lines=act.lines)
        elif act.does == "put":
            body = {"items": _items(act.lines)}
            self._do("cart-put", "PUT", "/api/cart", body, lines=act.lines)
        elif act.does == "clear":
            self._do("cart-clear", "DELETE", "/api/cart")
        elif act.does == "show":
            self.show_cart()
        elif act.does == "check out again":
            if self._last_checkout and self._last_checkout.order_id:
                self._place(self._last_checkout)
        else:
            self._last_checkout = Keyed("checkout", self._key())
            if act.does == "check out twice":
                rival = Keyed("checkout", self._key())
                self._at_once(self._last_checkout, rival)
                self._place(rival)
            self._place(self._last_checkout)

    def _place(self, keyed: Keyed, *, twice: bool = False, end_s: float = 0.0) -> None:
        """Send a keyed order until its answer is definite, or patience is at its end."""
        if twice:
            self._at_once(keyed, keyed)
        end_s, pause_s = end_s or self._recorder.now_s() + PATIENCE_S, _PAUSE_S
        while True:
            sent = self._send(keyed)
            if sent.outcome != "unknown":
                if keyed in self.undecided:
                    self.undecided.remove(keyed)
                if sent.shown and not keyed.order_id:
                    keyed.order_id = sent.shown.order_id
                    self._orders.append(keyed)
                return
            if self._recorder.now_s() > end_s or self._stopped.is_set():
                if keyed not in self.undecided:
                    self.undecided.append(keyed)
                return
            time.sleep(pause_s)
            pause_s = min(_PAUSE_MOST_S, pause_s * 2)

    def _at_once(self, first: Keyed, second: Keyed) -> None:
        with ThreadPoolExecutor(max_workers=1) as pool:
            other = pool.submit(self._send, second, 1)
            self._send(first)
            other.result()

    def _send(self, keyed: Keyed, window: int = 0) -> Operation:
        asked: dict[str, Any] = {"lines": keyed.lines, "key": keyed.key, "window": window}
        return self._do(keyed.kind, "POST", "/api/orders", keyed.body, **asked)

    def _do(
        self,
        kind: Kind,
        method: str,
        path: str,
        body: object = None,
        *,
        window: int = 0,
        **asked: Any,
    ) -> Operation:
        headers = {"Cookie": f"session={self._cookie}"} if self._cookie else {}
        if key := asked.get("key"):
            headers["Idempotency-Key"] = key
        number, invoked_s = self._recorder.begin()
        reply = self.windows[window].send(method, path, body, headers)
        done = Operation(
            number,
            self.session,
            kind,
            round(invoked_s, 6),
            round(self._recorder.now_s(), 6),
            reply.outcome,
            status=reply.status,
            error=reply.error,
            shown=shown_in(kind, reply.document) if reply.outcome == "ok" else None,
            request_id=reply.headers.get("x-request-id", ""),
            **asked,
        )
        self._recorder.end(done)
        self._cookie = session_in(reply) or self._cookie
        if done.outcome == "unknown" and kind.startswith("cart-") and kind != "cart-read":
            self._unknown_in_cart += 1
        return done

    def _key(self) -> str:
        self._recorder.keys += 1
        return f"{self._run}-{self.session}-{next(self._keys)}"


def _items(lines: Lines) -> list[dict[str, int]]:
    return [{"product_id": product, "quantity": quantity} for product, quantity in lines]

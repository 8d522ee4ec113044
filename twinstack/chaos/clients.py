"""The load while faults strike: a few customers on this host that read products and place orders.

Each act has a moment of its own, so a customer that waits falls behind and does not catch up: the
load is bounded in rate and in customers. Each request opens a connection, as new customers do.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from twinstack.errors import CannotTell
from twinstack.model.plan import HOST
from twinstack.order_check.browser import TIMEOUT_S, Entrance, windows
from twinstack.order_check.customer import Customer, Recorder
from twinstack.order_check.history import Stored
from twinstack.order_check.sessions import Act
from twinstack.world import LocalWorld

READERS, BUYERS = 3, 2
#: Seconds between the acts of one customer.
READ_EVERY_S, BUY_EVERY_S = 0.1, 0.25
#: How long orders are sent again at the end, until they are decided.
_DECIDED_S = 40.0


@dataclass(slots=True)
class Clients:
    """The customers at work, and what they saw so far."""

    bought: int  # the product's id
    recorder: Recorder = field(default_factory=Recorder)
    stop: threading.Event = field(default_factory=threading.Event)
    customers: list[Customer] = field(default_factory=list)

    def work(self, customer: Customer, act: Act, every_s: float) -> None:
        """Do an act again and again until the end."""
        due = time.monotonic()
        while not self.stop.wait(max(0.0, due - time.monotonic())):
            customer.act(act)
            due = max(due + every_s, time.monotonic())

    def settle(self) -> None:
        """Send orders without a definite answer again, until they have one."""
        end_s = self.recorder.now_s() + _DECIDED_S
        for customer in self.customers:
            customer.settle(end_s)


@contextmanager
def at_work(world: LocalWorld, before: Stored) -> Iterator[Clients]:
    """Send the load while the block lasts. Raises: CannotTell when nothing is answered before."""
    plenty = sorted(before.stock, key=lambda product: before.stock[product], reverse=True)
    load, run = Clients(bought=plenty[0]), secrets.token_hex(6)
    entrance = Entrance(world.endpoint("nginx-lb"), world.namespaces()[HOST], kept=False)
    buy, read = Act("order", ((plenty[0], 1),)), Act("look", which=plenty[1])
    work = [(read, READ_EVERY_S)] * READERS + [(buy, BUY_EVERY_S)] * BUYERS
    with ExitStack() as opened:
        for number in range(1, len(work) + 1):
            own = opened.enter_context(windows(entrance))
            load.customers.append(Customer(own, load.recorder, number, run, load.stop))
            first = load.customers[-1].show_cart()  # which makes its session
            if first.outcome != "ok":
                cause = first.error or f"GET /api/cart is answered {first.status}"
                raise CannotTell("chaos", "would show nothing", cause, "see that it answers")
        threads = [
            threading.Thread(target=load.work, args=(customer, *what), daemon=True)
            for customer, what in zip(load.customers, work, strict=True)
        ]
        for thread in threads:
            thread.start()
        try:
            yield load
        finally:
            load.stop.set()
            for thread in threads:
                thread.join(TIMEOUT_S + 1)

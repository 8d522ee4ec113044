"""Orders under fire: many customers, seeded faults, and the whole history of both.

Bounded in orders and in time. The load is paced so that it lasts as long as the faults, goes on
until both are done, and then every order without a definite answer is sent again, and every cart
shown once more, before PostgreSQL is read.
"""

from __future__ import annotations

import itertools
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from twinstack.errors import CannotTell, WrongUse
from twinstack.faults.drawing import DrawnFault
from twinstack.faults.hold import holding
from twinstack.model.plan import HOST
from twinstack.order_check import reads, schedule, stored
from twinstack.order_check.browser import Entrance, Windows, windows
from twinstack.order_check.customer import Customer, Recorder
from twinstack.order_check.history import History
from twinstack.order_check.sessions import Act, acts_of, orders_in
from twinstack.order_check.strike import Striker, await_healthy
from twinstack.reconcile import Progress
from twinstack.world import LocalWorld

MOST_ORDERS, MOST_SECONDS = 1_000_000, 7200.0
#: Threads, and the sessions that each has open.
CUSTOMERS, SESSIONS_EACH = 12, 4
#: How long sessions may take to end, and then undecided orders to be decided.
END_S, SETTLE_S = 60.0, 20.0
#: How long nothing is asked before carts are shown for the last time: the sweep comes meanwhile.
REST_S = 6.0
#: Orders a second that both worlds keep up with on two cores.
RATE = 120.0
_TELL_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class OrderLoad:
    """What one run sends, and what strikes meanwhile. Raises: WrongUse out of bounds."""

    orders: int
    seed: int = 1
    faults: tuple[DrawnFault, ...] = ()
    customers: int = CUSTOMERS
    rest_s: float = REST_S
    rate: float = RATE  # orders a second at most

    def __post_init__(self) -> None:
        if not 1 <= self.orders <= MOST_ORDERS:
            cause = f"it is from 1 to {MOST_ORDERS}"
            raise WrongUse("orders", f"cannot be {self.orders}", cause, "choose another")

    @property
    def pace(self) -> float:
        """Give how many orders a second are sent: they last as long as the faults."""
        lasts_s = schedule.seconds(self.faults)
        return min(self.rate, self.orders / lasts_s) if lasts_s else self.rate

    @property
    def pause_s(self) -> float:
        """Give the time between rounds, so that the faults last as long as the orders."""
        spare_s = self.orders / self.rate - schedule.seconds(self.faults)
        return max(0.0, spare_s / max(1, len(schedule.rounds(self.faults))))


class _Crowd:
    """Customers, each in a thread: session after session until the load is done."""

    def __init__(self, entrance: Entrance, load: OrderLoad, recorder: Recorder) -> None:
        self._entrance = entrance
        self._load = load
        self._recorder = recorder
        self._sessions = itertools.count(1)
        self._lock = threading.Lock()
        self._run = secrets.token_hex(4)
        self.stop = threading.Event()  # no further session
        self.ended = threading.Event()  # no further repeat either
        self._due = 0
        self.remembered: list[Customer] = []  # those with a cart, or an undecided order

    def work(self) -> None:
        """Be several customers in turn, so that sessions last while others act."""
        with windows(self._entrance) as own:
            self._be_customers(own)

    def _be_customers(self, own: Windows) -> None:
        rng = random.Random(threading.get_ident())
        present: list[tuple[Customer, Iterator[Act]]] = []
        while not self.ended.is_set():
            if len(present) < SESSIONS_EACH and not self.stop.is_set():
                present += self._enter(own)
            if not present:
                break
            customer, acts = rng.choice(present)
            if (act := next(acts, None)) is not None:
                customer.act(act)
                continue
            present.remove((customer, acts))
            if customer.has_cart or customer.undecided:
                with self._lock:
                    self.remembered.append(customer)

    def _enter(self, own: Windows) -> list[tuple[Customer, Iterator[Act]]]:
        """Open the next session when its time has come; none if the load is done by then."""
        with self._lock:
            number = next(self._sessions)
            due_s = self._due / self._load.pace
            acts = acts_of(self._load.seed, number)
            self._due += orders_in(acts)
        if self.stop.wait(max(0.0, due_s - self._recorder.now_s())):
            return []
        customer = Customer(own, self._recorder, number, self._run, self.ended)
        customer.open()
        return [(customer, iter(acts))]

    def settle(self, progress: Progress) -> float:
        """Decide what is undecided, show each cart; give the moment from which all is calm."""
        undecided = [customer for customer in self.remembered if customer.undecided]
        carts = [customer for customer in self.remembered if customer.has_cart]
        progress(f"settling {sum(len(each.undecided) for each in undecided)} orders")

        end_s = self._recorder.now_s() + SETTLE_S
        self._each(undecided, lambda customer: customer.settle(end_s))
        time.sleep(self._load.rest_s)
        calm_s = self._recorder.now_s()
        self._each(carts, Customer.show_cart)
        self.ended.set()
        return calm_s

    def _each(self, customers: Sequence[Customer], act: Callable[[Customer], object]) -> None:
        """Let each customer act once more, a dozen at a time."""

        def be(some: Sequence[Customer]) -> None:
            with windows(self._entrance) as own:
                for customer in some:
                    customer.windows = own
                    act(customer)

        with ThreadPoolExecutor(max_workers=CUSTOMERS) as pool:
            list(pool.map(be, (customers[n::CUSTOMERS] for n in range(CUSTOMERS))))


def fire(world: LocalWorld, load: OrderLoad, progress: Progress) -> History:
    """Send a load while its faults strike, and give the history.

    Raises: Missing when the world is not up; Locked; NotHealthy; CannotTell when a fault could not
    be caused or taken away; StepFailed.
    """
    with holding(world) as held:
        await_healthy(world, world.plan.here, "before anything was done")
        before = stored.read(world)
        recorder = Recorder()
        entrance = Entrance(world.endpoint("nginx-lb"), world.namespaces()[HOST])
        crowd = _Crowd(entrance, load, recorder)
        striker = Striker(held, recorder, crowd.stop, load.pause_s)
        striking = threading.Thread(target=striker.carry_out, args=(load.faults,))
        threads = [threading.Thread(target=crowd.work, daemon=True) for _ in range(load.customers)]
        for thread in (striking, *threads):
            thread.start()
        try:
            _wait(load, recorder, striking, progress)
        finally:
            crowd.stop.set()
            striking.join()
        for thread in threads:
            thread.join(END_S)
        if len(striker.struck) != len(load.faults):
            raise CannotTell("faults", "were not as drawn", "; ".join(striker.failures))
        if any(thread.is_alive() for thread in threads):
            raise CannotTell("customers", "did not end", f"within {END_S:g} s")
        calm_s = crowd.settle(progress)
        after = stored.read(world)
    return History(
        world.name,
        load.seed,
        before,
        after,
        recorder.whole(),
        tuple(sorted(striker.struck, key=lambda each: each.began_s)),
        seconds=round(recorder.now_s(), 3),
        calm_s=round(calm_s, 3),
        copies_s=reads.copies_s(world.plan),
    )


def _wait(
    load: OrderLoad, recorder: Recorder, striking: threading.Thread, progress: Progress
) -> None:
    told_s = 0.0
    while recorder.keys < load.orders or striking.is_alive():
        time.sleep(0.05)
        now_s = recorder.now_s()
        if now_s > MOST_SECONDS:
            cause = f"{recorder.keys} of {load.orders} in {now_s:.0f} s"
            raise CannotTell("orders", "took too long", cause)
        if now_s - told_s >= _TELL_EVERY_S:
            told_s = now_s
            progress(f"{now_s:.0f} s: {recorder.keys} orders, {len(recorder.operations)} requests")

"""Orders under fire: many customers, seeded faults, and the whole history of both.

Bounded in orders and in time. The load is paced so that it lasts as long as the schedule, goes on
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
from dataclasses import dataclass, replace

from twinstack.errors import CannotTell, TwinstackError
from twinstack.order_check import schedule, stored
from twinstack.order_check.browser import Windows, windows
from twinstack.order_check.customer import Customer, Recorder
from twinstack.order_check.history import History
from twinstack.order_check.schedule import PlannedFault
from twinstack.order_check.sessions import Act, acts_of, orders_in
from twinstack.order_check.strike import striking
from twinstack.reconcile import Progress
from twinstack.world import Endpoint, LocalWorld

MOST_ORDERS, MOST_SECONDS = 1_000_000, 7200.0
#: Threads, and the sessions that each has open.
CUSTOMERS, SESSIONS_EACH = 12, 4
SETTLE_S = 60.0
#: How long nothing is asked before carts are shown for the last time: the sweep comes meanwhile.
REST_S = 6.0
_TELL_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class OrderLoad:
    """What one run sends, and what strikes meanwhile. Raises: TwinstackError out of bounds."""

    orders: int
    seed: int = 1
    strikes: tuple[PlannedFault, ...] = ()
    customers: int = CUSTOMERS
    rest_s: float = REST_S
    rate: float | None = None  # orders a second; None: so that it lasts as long as the schedule

    def __post_init__(self) -> None:
        if not 1 <= self.orders <= MOST_ORDERS:
            cause = f"it is from 1 to {MOST_ORDERS}"
            raise TwinstackError("orders", f"cannot be {self.orders}", cause, "choose another")

    @property
    def seconds(self) -> float:
        """Give how long it lasts at least."""
        return schedule.seconds(self.strikes) if self.strikes else 0.0

    @property
    def pace(self) -> float:
        if self.rate is not None:
            return self.rate
        return self.orders / self.seconds if self.strikes else float("inf")


class _Crowd:
    """Customers, each in a thread: session after session until the load is done."""

    def __init__(self, endpoint: Endpoint, load: OrderLoad, recorder: Recorder) -> None:
        self._endpoint = endpoint
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
        with windows(self._endpoint) as own:
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

        self._each(undecided, lambda customer: customer.settle(SETTLE_S))
        time.sleep(self._load.rest_s)
        calm_s = self._recorder.now_s()
        self._each(carts, Customer.show_cart)
        self.ended.set()
        return calm_s

    def _each(self, customers: Sequence[Customer], act: Callable[[Customer], object]) -> None:
        """Let each customer act once more, a dozen at a time."""

        def be(some: Sequence[Customer]) -> None:
            with windows(self._endpoint) as own:
                for customer in some:
                    customer.windows = own
                    act(customer)

        with ThreadPoolExecutor(max_workers=CUSTOMERS) as pool:
            list(pool.map(be, (customers[n::CUSTOMERS] for n in range(CUSTOMERS))))


def fire(world: LocalWorld, load: OrderLoad, progress: Progress) -> History:
    """Send a load while its faults strike, and give the history.

    Raises: CannotTell when the world is not up, or a fault could not be caused or undone.
    """
    endpoint = world.published("nginx-lb")
    if endpoint is None:
        raise CannotTell("orders", "cannot be sent", "nginx-lb has no published port")
    before = stored.read(world)
    recorder = Recorder()
    crowd = _Crowd(endpoint, load, recorder)
    threads = [threading.Thread(target=crowd.work, daemon=True) for _ in range(load.customers)]
    with striking(world, load.strikes, recorder.now_s, crowd.stop) as (striker, striking_thread):
        for thread in threads:
            thread.start()
        try:
            _wait(load, recorder, striking_thread, progress)
        finally:
            crowd.stop.set()
        for thread in threads:
            thread.join(SETTLE_S)
    if striker.failures:
        raise CannotTell("faults", "were not as drawn", "; ".join(striker.failures))
    if any(thread.is_alive() for thread in threads):
        raise CannotTell("customers", "did not end", f"within {SETTLE_S:g} s")
    calm_s = crowd.settle(progress)
    after = stored.read(world)
    operations = tuple(sorted(recorder.operations, key=lambda each: each.number))
    return History(
        world.name,
        load.seed,
        replace(before, orders={}),
        after,
        operations,
        tuple(sorted(striker.struck, key=lambda each: each.began_s)),
        seconds=round(recorder.now_s(), 3),
        calm_s=round(calm_s, 3),
        orders_before=frozenset(before.orders),
    )


def _wait(
    load: OrderLoad,
    recorder: Recorder,
    striking_thread: threading.Thread,
    progress: Progress,
) -> None:
    told_s = 0.0
    while (
        recorder.keys < load.orders or striking_thread.is_alive() or recorder.now_s() < load.seconds
    ):
        time.sleep(0.05)
        now_s = recorder.now_s()
        if now_s > MOST_SECONDS:
            cause = f"{recorder.keys} of {load.orders} in {now_s:.0f} s"
            raise CannotTell("orders", "took too long", cause)
        if now_s - told_s >= _TELL_EVERY_S:
            told_s = now_s
            progress(f"{now_s:.0f} s: {recorder.keys} orders, {len(recorder.operations)} requests")

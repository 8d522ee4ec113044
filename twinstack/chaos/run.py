"""Carry out a schedule against a running world, and judge what its clients saw.

One strike at a time: put, stay, take away, wait for full service, judge. Bounded in strikes and in
time. Whatever ends it, every fault is taken away (`twinstack.faults.hold`).
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

from twinstack.chaos import clients, schedule
from twinstack.chaos.clients import Clients
from twinstack.chaos.judge import JudgedFault, OrdersSeen, judge, judge_orders
from twinstack.chaos.schedule import DrawnFault
from twinstack.errors import CannotTell, NotHealthy
from twinstack.faults.catalogue import find
from twinstack.faults.hold import FaultHold, holding
from twinstack.model.plan import HOST
from twinstack.reconcile import Progress
from twinstack.world import LocalWorld

#: Waited for every replica to be healthy, and afterwards without any failure.
_HEALTHY_S, _CALM_S = 60.0, 1.0
#: For stock that is read from the cache until it expires.
_STOCK_S = 35.0


@dataclass(frozen=True, slots=True)
class ChaosReport:
    """What was struck and what held."""

    world: str
    seed: int
    what: str
    strikes: tuple[JudgedFault, ...]
    orders: OrdersSeen

    @property
    def held(self) -> bool:
        return self.orders.held and all(strike.held for strike in self.strikes)


def run(
    world: LocalWorld,
    what: str,
    *,
    seed: int,
    count: int | None,
    minutes: float | None,
    longest_s: float,
    progress: Progress,
) -> ChaosReport:
    """DrawnFault a world; without `count` and `minutes`, once with each fault.

    Units: `longest_s` seconds that a fault stays at most. Raises: Missing when the world is not up;
    CannotTell; NotHealthy when a replica does not come back; StepFailed.
    """
    what = what or schedule.everything(but=() if world.engine_pid() else ("engine",))
    chosen = schedule.choices(world.plan, what)
    least = count or (0 if minutes else len(chosen))
    drawn = schedule.strikes(world.plan, what, seed, longest_s)
    with holding(world) as held:
        _wait_until_healthy(world, None)
        endpoint = world.endpoint("nginx-lb")
        with clients.at_work(endpoint, world.namespaces()[HOST]) as load:
            time.sleep(_CALM_S)
            deadline = time.monotonic() + 60 * (minutes or 0)
            struck: list[JudgedFault] = []
            for strike in itertools.islice(drawn, schedule.MOST_STRIKES):
                if len(struck) >= least and time.monotonic() >= deadline:
                    break
                struck.append(_strike(held, strike, load, progress))
        orders = _decide(load, progress)
    return ChaosReport(world.name, seed, what, tuple(struck), orders)


def _strike(held: FaultHold, strike: DrawnFault, load: Clients, progress: Progress) -> JudgedFault:
    world = held.world
    promise = find(strike.fault).promise(world.plan, strike.target)
    progress(f"{strike.number}: {strike} for {strike.seconds:g} s ({promise})")
    began = time.monotonic()
    number = held.put(strike.fault, strike.target)
    try:
        time.sleep(max(0.0, began + strike.seconds - time.monotonic()))
    finally:  # at once: clients that are ended wait for their answers
        ended = time.monotonic()
        held.take_away(number)
    healthy_after_s = _wait_until_healthy(world, strike) - ended
    _wait_until_calm(load, ended + promise.full_within_s)
    seen = judge(strike, promise, tuple(load.attempts), began, ended, healthy_after_s)
    for sentence in seen.broken:
        progress(f"{strike.number}: {strike}: did not hold: {sentence}")
    return seen


def _wait_until_healthy(world: LocalWorld, strike: DrawnFault | None) -> float:
    """Give the moment when every replica was healthy. Raises: NotHealthy."""
    deadline = time.monotonic() + _HEALTHY_S
    while True:
        ill = [state for state in world.status() if state.state != "healthy"]
        if not ill:
            return time.monotonic()
        if time.monotonic() > deadline:
            when = f"{_HEALTHY_S:g} s after {strike}" if strike else "before anything was done"
            remedy = f"see invoke {world.name}.logs {ill[0].name}"
            raise NotHealthy(ill[0].name, f"is {ill[0].state} {when}", ill[0].detail, remedy)
        time.sleep(0.1)


def _wait_until_calm(load: Clients, until: float) -> None:
    """Wait until nothing failed for a while, or for what was promised."""
    while time.monotonic() < until + _CALM_S:
        time.sleep(0.1)
        now = time.monotonic()
        latest = [each for each in tuple(load.attempts)[-200:] if each.at > now - _CALM_S]
        good = len({each.kind for each in latest}) == 2 and all(each.good for each in latest)
        if good and all(at > now - _CALM_S for at in tuple(load.waiting.values())):
            return


def _decide(load: Clients, progress: Progress) -> OrdersSeen:
    """Ask for each order again by its key, and read the stock, until both are as they should be.

    Bounded: a stock that was cached while Redis could not be told expires. Raises: CannotTell.
    """
    orders = tuple(load.orders.values())
    progress(f"asking again for {len(orders)} orders")
    again: dict[str, tuple[int, str]] = {}
    deadline = time.monotonic() + _STOCK_S
    while True:
        open_yet = (each for each in orders if again.get(each.key, (0, ""))[0] not in {200, 201})
        again |= {order.key: load.show(order) for order in open_yet}
        late = time.monotonic() > deadline
        try:
            seen = judge_orders(orders, again, load.stock - load.stock_now())
        except CannotTell:
            if late:
                raise
        else:
            if seen.held or seen.lost or late:
                return seen
        time.sleep(1.0)

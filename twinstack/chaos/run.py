"""Carry out a schedule against a running world, and judge what its clients saw.

One strike at a time: put, stay, take away, wait for full service, judge. Bounded in strikes and in
time. Whatever ends it, every fault is taken away (`twinstack.faults.hold`).
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

from twinstack.chaos import clients
from twinstack.chaos.clients import Clients
from twinstack.chaos.judge import JudgedFault, OrdersSeen, judge, judge_orders
from twinstack.faults import drawing
from twinstack.faults.catalogue import find
from twinstack.faults.drawing import DrawnFault
from twinstack.faults.hold import FaultHold, holding
from twinstack.order_check import reads, stored
from twinstack.order_check.history import CausedFault, History
from twinstack.order_check.strike import CALM_S, await_calm, await_healthy, strike
from twinstack.reconcile import Progress
from twinstack.world import LocalWorld


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
    """Strike a world; without `count` and `minutes`, once with each fault.

    Units: `longest_s` seconds that a fault stays at most. Raises: Missing when the world is not up;
    CannotTell; NotHealthy when a replica does not come back; StepFailed.
    """
    what = what or drawing.everything(world)
    least = count or (0 if minutes else len(drawing.choices(world.plan, what)))
    drawn = drawing.strikes(world.plan, what, seed, longest_s)
    struck: list[tuple[CausedFault, JudgedFault]] = []
    with holding(world) as held:
        await_healthy(world, world.plan.here, "before anything was done")
        before = stored.read(world)
        with clients.at_work(world, before) as load:
            time.sleep(CALM_S)
            deadline = time.monotonic() + 60 * (minutes or 0)
            for each in itertools.islice(drawn, drawing.MOST_STRIKES):
                if len(struck) >= least and time.monotonic() >= deadline:
                    break
                struck.append(_strike(held, each, load, progress))
        load.settle()
        after = stored.read(world)
    operations, causes = load.recorder.whole(), tuple(cause for cause, _ in struck)
    copies_s = reads.copies_s(world.plan)
    history = History(world.name, seed, before, after, operations, causes, copies_s=copies_s)
    judged = tuple(seen for _, seen in struck)
    return ChaosReport(world.name, seed, what, judged, judge_orders(history, load.bought))


def _strike(
    held: FaultHold, drawn: DrawnFault, load: Clients, progress: Progress
) -> tuple[CausedFault, JudgedFault]:
    plan = held.world.plan
    promise = find(drawn.fault).promise(plan, drawn.target)
    progress(f"{drawn.number}: {drawn} for {drawn.seconds:g} s ({promise})")
    struck = strike(held, drawn, load.recorder, load.stop, awaited=plan.here)
    await_calm(load.recorder, struck.ended_s + promise.full_within_s + CALM_S)
    seen = judge(drawn, promise, tuple(load.recorder.operations), struck)
    for sentence in seen.broken:
        progress(f"{drawn.number}: {drawn}: did not hold: {sentence}")
    return struck, seen

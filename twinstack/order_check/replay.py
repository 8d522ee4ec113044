"""Shrink a schedule that failed to the few faults that it needs, by replaying parts of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from twinstack.faults.drawing import DrawnFault
from twinstack.order_check import schedule
from twinstack.order_check.fire import OrderLoad, fire
from twinstack.order_check.history import History
from twinstack.order_check.judge import judge
from twinstack.order_check.shrink import shrink
from twinstack.order_check.violation import Violation
from twinstack.reconcile import Progress
from twinstack.world import LocalWorld

#: How often what remains is replayed, and how long is spent on shrinking.
REPLAYS, SHRINK_S = 20, 1800.0
#: What fails in fewer of them is repeated, up to so many faults.
ALWAYS, FEW = 0.95, 3
#: Faults before and after a violation that are suspected first.
_BEFORE, _AFTER = 4, 2
_RATE, _FEWEST = 120.0, 120


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What remains of a schedule, and how often it failed again."""

    whole: int  # faults
    least: tuple[DrawnFault, ...]
    runs: int  # until then
    replays: int
    failed_again: int


def shrunk(
    world: LocalWorld,
    history: History,
    faults: Sequence[DrawnFault],
    found: Sequence[Violation],
    progress: Progress,
    replays: int = REPLAYS,
) -> Shrunk:
    """Shrink the faults under which a history was violated; the world stays up. Raises: as `fire`.

    A part fails if it violates one of the same rules.
    """
    rules = {violation.rule for violation in found}
    deadline = time.monotonic() + SHRINK_S
    runs = 0

    def replay(part: tuple[DrawnFault, ...]) -> bool:
        nonlocal runs
        runs += 1
        orders = max(_FEWEST, round(_RATE * schedule.seconds(part)))
        load = OrderLoad(orders, history.seed, part, rest_s=1.0, rate=_RATE)
        again = {violation.rule for violation in judge(fire(world, load, lambda _line: None))}
        progress(f"{len(part)} faults: {', '.join(sorted(again)) or 'passed'}")
        return bool(rules & again)

    def fails(part: tuple[DrawnFault, ...]) -> bool:
        return time.monotonic() < deadline and replay(part)

    least = reduced(suspects(history, faults, found[0]), tuple(faults), fails)
    needed = runs
    least, failed_again = repeated(least, replay, replays)
    return Shrunk(len(faults), least, needed, replays, failed_again)


def repeated(
    least: tuple[DrawnFault, ...], fails: Callable[[tuple[DrawnFault, ...]], bool], replays: int
) -> tuple[tuple[DrawnFault, ...], int]:
    """Replay a few faults, and several times in a row if they fail only sometimes; pure.

    Gives the faults, and in how many of the replays they failed.
    """
    most, step = max(1, FEW // len(least)), 1 + max(fault.number for fault in least)
    for times in range(1, most + 1):
        part = tuple(
            replace(fault, number=fault.number + step * n) for n in range(times) for fault in least
        )
        failed = 0
        for done in range(1, replays + 1):
            failed += fails(part)
            if times < most and done - failed > replays * (1 - ALWAYS):
                break
        else:
            break
    return part, failed


def reduced(
    suspected: tuple[DrawnFault, ...],
    whole: tuple[DrawnFault, ...],
    fails: Callable[[tuple[DrawnFault, ...]], bool],
) -> tuple[DrawnFault, ...]:
    """Shrink the suspects if they fail, else the whole, which does; pure."""
    return shrink(suspected if suspected and fails(suspected) else whole, fails)


def suspects(
    history: History, faults: Sequence[DrawnFault], violation: Violation
) -> tuple[DrawnFault, ...]:
    """Give the faults about the moment of a violation; pure."""
    last_s = max((each.ended_s for each in violation.evidence), default=float("inf"))
    begun = sum(struck.began_s <= last_s for struck in history.struck)
    return tuple(faults[max(0, begun - _BEFORE) : begun + _AFTER])

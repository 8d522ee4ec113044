"""Which replica is struck when, drawn from a seed; pure.

Faults come in rounds: one or two at nearly the same time, then a calm in which the stack must be
back to full service. The same seed and targets give the same schedule.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

PlannedKind = Literal["kill", "sigstop"]
#: A frozen replica stands still for less than this, or longer than any time-out in its way.
SHORT_S, LONG_S = (0.1, 1.0), (2.0, 6.0)
#: How long nothing is broken between two rounds.
CALM_S = (4.0, 6.0)
FIRST_S = 1.0


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault to come. Units: seconds; `at_s` since the load began."""

    at_s: float
    kind: PlannedKind
    replica: str
    lasts_s: float = 0.0

    @property
    def ends_s(self) -> float:
        return self.at_s + self.lasts_s

    def __str__(self) -> str:
        lasts = f" for {self.lasts_s:.2f} s" if self.lasts_s else ""
        return f"{self.at_s:.2f} s: {self.kind} {self.replica}{lasts}"


def draw(
    seed: int,
    targets: Sequence[str],
    count: int,
    *,
    calm_s: tuple[float, float] = CALM_S,
    at_least_s: float = 0.0,
) -> tuple[PlannedFault, ...]:
    """Draw `count` faults, each target's turn coming about equally often.

    They last `at_least_s`: the calms between rounds are as long as that needs. Units: seconds.
    """
    rounds = _rounds(seed, targets, count, calm_s)
    missing_s = at_least_s - seconds([fault for faults in rounds for fault in faults])
    if missing_s > 0:
        more_s = missing_s / max(1, len(rounds) - 1)
        rounds = _rounds(seed, targets, count, (calm_s[0] + more_s, calm_s[1] + more_s))
    return tuple(fault for faults in rounds for fault in faults)


def _rounds(
    seed: int, targets: Sequence[str], count: int, calm_s: tuple[float, float]
) -> list[list[PlannedFault]]:
    rng = random.Random(seed)
    rounds: list[list[PlannedFault]] = []
    bag: list[str] = []
    now_s = FIRST_S
    while count:
        at_once = min(rng.choice((1, 1, 2)), count, len(targets))
        chosen: list[str] = []
        while len(chosen) < at_once:
            bag = bag or rng.sample(targets, len(targets))
            place = next((n for n, name in enumerate(bag) if name not in chosen), None)
            if place is None:
                bag = []
            else:
                chosen.append(bag.pop(place))
        faults = [_fault(rng, round(now_s + rng.uniform(0, 0.5), 3), name) for name in chosen]
        rounds.append(sorted(faults, key=lambda fault: fault.at_s))
        now_s = max(fault.ends_s for fault in faults) + rng.uniform(*calm_s)
        count -= len(faults)
    return rounds


def _fault(rng: random.Random, at_s: float, replica: str) -> PlannedFault:
    if rng.random() < 0.5:
        return PlannedFault(at_s, "kill", replica)
    span = SHORT_S if rng.random() < 0.5 else LONG_S
    return PlannedFault(at_s, "sigstop", replica, round(rng.uniform(*span), 3))


def seconds(faults: Sequence[PlannedFault], calm_s: float = CALM_S[0]) -> float:
    """Give how long a load must last for the last strike to be recovered from."""
    return max((fault.ends_s for fault in faults), default=0.0) + calm_s


def earlier(faults: Sequence[PlannedFault]) -> tuple[PlannedFault, ...]:
    """Move faults forward so that the first comes at once; their distances stay."""
    first_s = min((fault.at_s for fault in faults), default=FIRST_S)
    move_s = first_s - FIRST_S
    return tuple(
        PlannedFault(round(each.at_s - move_s, 3), each.kind, each.replica, each.lasts_s)
        for each in faults
    )

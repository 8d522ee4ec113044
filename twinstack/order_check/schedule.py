"""Which faults come, in rounds, drawn from a seed; pure.

A round is one fault, or two replicas struck at nearly the same time; after it the stack must be
back to full service before the next comes (`strike`). The same plan, faults, seed and count give
the same rounds.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

from twinstack.faults import drawing
from twinstack.faults.catalogue import FAULTS
from twinstack.faults.drawing import DrawnFault
from twinstack.model.plan import Plan

#: How long a fault stays: longer than any time-out in its way, or, more often, a share of that.
LONGEST_S, _SHARES = 5.0, (0.1, 0.1, 1.0)
#: How often a fault joins another one's round, and how soon after it.
_TOGETHER, _SOON_S = 0.4, 0.5
#: How long a round takes beyond its faults: all come back, and nothing fails.
_BACK_S = 3.0


def draw(plan: Plan, what: str, seed: int, count: int) -> tuple[DrawnFault, ...]:
    """Draw faults of a choice (`drawing.choices`), numbered by round. Raises: TwinstackError."""
    rng = random.Random(seed)
    replicas = {replica.name for replica in plan.here}
    faults: list[DrawnFault] = []
    number, alone = 0, ""  # the only target of the latest round, if another may join
    for drawn in itertools.islice(drawing.strikes(plan, what, seed, LONGEST_S), count):
        share = rng.choice(_SHARES)
        seconds = round(drawn.seconds * share, 2) if FAULTS[drawn.fault].lasts else 0.0
        joins = alone and drawn.target in replicas - {alone} and rng.random() < _TOGETHER
        after_s = round(rng.uniform(0, _SOON_S), 3) if joins else 0.0
        number += not joins
        alone = drawn.target if drawn.target in replicas and not joins else ""
        faults.append(replace(drawn, number=number, seconds=seconds, after_s=after_s))
    return tuple(faults)


def rounds(faults: Sequence[DrawnFault]) -> list[list[DrawnFault]]:
    """Divide a schedule, or what is left of one."""
    return [list(some) for _, some in itertools.groupby(faults, key=lambda fault: fault.number)]


def seconds(faults: Sequence[DrawnFault]) -> float:
    """Give about how long a schedule takes."""
    return sum(
        max(fault.after_s + fault.seconds for fault in some) + _BACK_S for some in rounds(faults)
    )

"""Which arm is measured when, and when it is enough; pure.

Machines drift within seconds, and a lasting difference of a percent or two is drawn with each start
of the services (hash seeds, address layout). So the arms of a block follow each other forth and
back (ABBA), which cancels a steady drift; and blocks are spread over several deployments, of which
the interval is taken. An experiment ends when its intervals are narrow enough, never because of
what they show: that would find differences that are not there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bench.engine.arm import CPU, RATE
from bench.load.ab import AbLoad
from twinstack.errors import WrongUse
from twinstack.model import bounds

#: More than this at once, or in a run, is another tool's work.
MOST_REQUESTS, MOST_CLIENTS = 1_000_000, 1_000
Stopped = Literal["precise", "out of time"]
#: More than this is another tool's work. Units: minutes.
MOST_MINUTES = 240
#: Fewer deployments than this give no interval.
LEAST_DEPLOYMENTS = 3
#: Less than this is short, and so short that only the commands are tried, in windows of so long.
#: Units: minutes; seconds.
_SHORT, _HASTY, _HASTY_S = 2.0, 0.5, 0.3
#: How long a turn is, and how many make a window. Units: seconds.
_RUN_S, _RUNS, _SHORT_RUNS = 0.4, 5, 3


@dataclass(frozen=True, slots=True)
class Design:
    """How long an experiment may take, and how it is laid out.

    Raises: WrongUse for a time that cannot be.
    """

    minutes: float = 5.0
    seconds: float = 2.0  # of a window
    runs: int = 1  # of an arm in a window, in which the arms take turns
    blocks: int = 2  # of a deployment
    least: int = 6  # deployments before it may stop as precise
    look: float = 0.75  # the part of its time before it may
    narrow: Mapping[str, float] = field(  # quantity → the half-width that is precise, as a part
        default_factory=lambda: {CPU.name: 0.02, RATE.name: 0.03}
    )
    seed: int | None = None  # None: draw one

    def __post_init__(self) -> None:
        bounds.within("minutes", self.minutes, 0.05, MOST_MINUTES)

    @property
    def run_s(self) -> float:
        """Give how long a run is. Units: seconds, in tenths."""
        return round(self.seconds / self.runs, 1)

    @classmethod
    def within(cls, minutes: float, seed: int | None = None) -> Design:
        """Lay a time out: when it is short, deployments of one block give the better interval."""
        seconds, blocks = _HASTY_S if minutes < _HASTY else 2.0, 1 if minutes < _SHORT else 2
        return cls(minutes, seconds, blocks=blocks, seed=seed)

    def taking_turns(self) -> Design:
        """Give a design in which arms take turns in short runs, for intervals half as wide.

        CPU time per request wanders as much from one half second to the next as from one couple of
        seconds to the next, and what is slower than the turns cancels. Not for a machine with a
        beat of its own: an engine's health probes come every two seconds, and are in some runs.
        """
        runs = _SHORT_RUNS if self.minutes < _SHORT else _RUNS
        return replace(self, seconds=runs * _RUN_S, runs=runs, blocks=1)


def require_load(load: AbLoad) -> None:
    """Refuse a load that `ab` cannot send. Raises: WrongUse."""
    bounds.within("requests", load.requests, 1, MOST_REQUESTS)
    bounds.within("concurrency", load.concurrency, 1, MOST_CLIENTS)
    if not load.path.startswith("/"):
        raise WrongUse("--path", f"cannot be {load.path}", "", "begin it with /")
    if load.requests < load.concurrency:
        cause = f"{load.concurrency} at once need as many"
        remedy = "raise it, or lower --concurrency"
        raise WrongUse("--requests", f"cannot be {load.requests}", cause, remedy)


def order(arms: Sequence[str], seed: int) -> Iterator[tuple[str, ...]]:
    """Give block after block: the arms in an order drawn from the seed, forth and back."""
    rng = random.Random(seed)
    while True:
        forth = rng.sample(arms, len(arms))
        yield (*forth, *reversed(forth))


def stop(
    design: Design, deployments: int, elapsed_s: float, half_widths: Mapping[str, float]
) -> Stopped | None:
    """Say why an experiment ends after a deployment; None: it goes on.

    `half_widths` are the quantities' so far. Narrow counts in the last quarter of the time only: a
    look after each deployment would often stop at an interval that is narrow by chance
    (tests/support/simulate.py). It is out of time when another deployment would not end in time,
    though not before there are enough for an interval.
    """
    if deployments < LEAST_DEPLOYMENTS:
        return None
    narrow = all(half_widths.get(name, 1.0) <= most for name, most in design.narrow.items())
    limit_s = design.minutes * 60
    if deployments >= design.least and elapsed_s >= design.look * limit_s and narrow:
        return "precise"
    late = elapsed_s * (1 + 1 / deployments) > limit_s
    return "out of time" if late else None

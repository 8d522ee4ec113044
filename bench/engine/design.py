"""Which arm is measured when: every arm once a round, in an order drawn from a recorded seed.

Measuring all of one arm and then all of the other takes the machine's drift for a difference.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TypeVar

from bench.engine.estimate import MINIMUM_PAIRS, Sampled
from bench.load.ab import AbLoad
from twinstack.errors import TwinstackError
from twinstack.model import bounds
from twinstack.reconcile import Progress

#: More than this at once, or in a run, is another tool's work.
MOST_REQUESTS, MOST_CLIENTS, MOST_ROUNDS = 1_000_000, 1_000, 1_000
#: The round of a trial that only warms up.
WARM_UP = -1


T = TypeVar("T", bound=Sampled)


def require_rounds(rounds: int) -> None:
    """Refuse too few rounds for an interval, or too many. Raises: TwinstackError."""
    why = f"an interval needs {MINIMUM_PAIRS} rounds at least"
    bounds.within("rounds", rounds, MINIMUM_PAIRS, MOST_ROUNDS, why)


def require_load(load: AbLoad) -> None:
    """Refuse a load that `ab` cannot send. Raises: TwinstackError."""
    bounds.within("requests", load.requests, 1, MOST_REQUESTS)
    bounds.within("concurrency", load.concurrency, 1, MOST_CLIENTS)
    if not load.path.startswith("/"):
        raise TwinstackError("--path", f"cannot be {load.path}", "", "begin it with /")
    if load.requests < load.concurrency:
        cause = f"{load.concurrency} at once need as many"
        remedy = "raise it, or lower --concurrency"
        raise TwinstackError("--requests", f"cannot be {load.requests}", cause, remedy)


def interleave(
    arms: Sequence[str],
    trial: Callable[[str, int], T],
    rounds: int,
    seed: int,
    progress: Progress,
    *,
    others: Sequence[str] = (),
    others_every: int = 1,
    warmups: int = 1,
    figure: str = "rate",
    unit: str = "/s",
) -> list[T]:
    """Warm every arm up, then give the samples of all rounds.

    `trial` measures an arm in a round; `arms` and `others` are scheduled as by `schedule`. Progress
    shows a `figure`, an attribute of each sample.
    """
    for _ in range(warmups):
        for arm in (*arms, *others):
            progress(f"warm-up: {arm}")
            trial(arm, WARM_UP)
    samples, value_of = [], attrgetter(figure)
    order = schedule(arms, others, rounds=rounds, others_every=others_every, seed=seed)
    for number, names in enumerate(order, start=1):
        measured = [trial(arm, number) for arm in names]
        samples += measured
        values = map(value_of, measured)
        figures = (f"{value:,.{0 if value > 99 else 1}f}{unit}" for value in values)
        shown = "  ".join(map(" ".join, zip(names, figures, strict=True)))
        progress(f"round {number}/{rounds}: {shown}")
    return samples


def schedule(
    arms: Sequence[str], others: Sequence[str], *, rounds: int, others_every: int, seed: int
) -> tuple[tuple[str, ...], ...]:
    """Give each round's order; pure.

    `arms` are in every round, and each of two goes first in half of the rounds; `others` are in
    every `others_every`-th round, starting with the first.
    """
    rng = random.Random(seed)
    turned = [number % 2 == 0 for number in range(rounds)]
    rng.shuffle(turned)
    order = []
    for number in range(rounds):
        names = [*arms, *(others if number % others_every == 0 else ())]
        rng.shuffle(names)
        positions = sorted(names.index(arm) for arm in arms)
        placed = list(arms)
        if len(placed) == 2:
            placed = placed[::-1] if turned[number] else placed
        else:
            rng.shuffle(placed)
        for position, arm in zip(positions, placed, strict=True):
            names[position] = arm
        order.append(tuple(names))
    return tuple(order)

"""Share a gap out over its causes: all 2^n cells measured, all orders of removal alike; pure.

What a cause is worth depends on what else is there: a quota costs nothing where a proxy is slower
still. So its part is the mean, over every order in which the causes can be taken away, of what
taking it away changes. The parts add up to the whole gap exactly.

Source: Shapley, "A value for n-person games", 1953.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.engine import estimate, waterfall
from bench.engine.estimate import Difference, Pair
from bench.engine.show import columns
from bench.engine.waterfall import Waterfall

Cell = frozenset[str]  # the causes that are there
NONE: Cell = frozenset()


def cells(causes: Sequence[str]) -> tuple[Cell, ...]:
    """Give every set of causes, from none to all."""
    sizes = range(len(causes) + 1)
    return tuple(frozenset(chosen) for size in sizes for chosen in combinations(causes, size))


def shares(causes: Sequence[str], values: Mapping[Cell, float]) -> dict[str, float]:
    """Give each cause's part of values[all] − values[none], exactly. Raises: KeyError."""
    count = len(causes)
    parts = {}
    for cause in causes:
        others = [other for other in causes if other != cause]
        parts[cause] = math.fsum(
            (values[cell | {cause}] - values[cell]) / (count * math.comb(count - 1, len(cell)))
            for cell in cells(others)
        )
    return parts


@dataclass(frozen=True, slots=True)
class Look:
    """The gap in every cell, as measured once. Units: the logarithm of a ratio."""

    deployment: int
    gaps: Mapping[Cell, float]


@dataclass(frozen=True, slots=True)
class Shared:
    """A gap with its parts, each with an interval. Units: the logarithm of a ratio."""

    whole: Difference  # with all causes
    parts: Mapping[str, Difference]
    left: Difference  # without any

    @classmethod
    def of(cls, causes: Sequence[str], looks: Iterable[Look]) -> Shared:
        """Share out each look, and take the mean of them. Raises: CannotTell as `estimate`."""
        looks = list(looks)
        each = [shares(causes, look.gaps) for look in looks]

        def mean(values: Iterable[float]) -> Difference:
            pairs = zip(looks, values, strict=True)
            return estimate.difference([Pair(look.deployment, value, 0.0) for look, value in pairs])

        parts = {cause: mean(part[cause] for part in each) for cause in causes}
        whole, left = (
            mean(look.gaps[cell] for look in looks) for cell in (frozenset(causes), NONE)
        )
        return cls(whole, parts, left)


def times(log: Difference) -> str:
    """Write a gap as a factor: ×1.42 [1.38, 1.47]."""
    ends = [math.exp(end) for end in (log.estimate, log.low, log.high)]
    return f"×{ends[0]:.2f} [{ends[1]:.2f}, {ends[2]:.2f}]"


def draw(shared: Shared, first: str, last: str) -> str:
    """Draw the factors, and the way from the whole gap to what is left."""
    rows = [[first, times(shared.whole)]]
    rows += [[f"  {cause}", times(part)] for cause, part in shared.parts.items()]
    rows += [[last, times(shared.left)]]
    steps = {
        cause: Difference(*(-100 * end for end in (part.estimate, part.high, part.low)))
        for cause, part in shared.parts.items()
    }
    way = Waterfall(
        "% (100 ln of the ratio)",
        (first, 100 * shared.whole.estimate),
        steps,
        (last, 100 * shared.left.estimate),
    )
    table = columns(["times as many requests", "[95 %]"], rows, rule=True)
    return f"{table}\n\n{waterfall.draw(way)}"

"""Share a gap out over its causes: all 2^n cells measured, all orders of removal alike; pure.

What a cause is worth depends on what else is there: a quota costs nothing where a proxy is slower
still. So its part is the mean, over every order in which the causes can be taken away, of what
taking it away changes. The parts add up to the whole gap exactly.

Source: Shapley, "A value for n-person games", 1953.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

from bench.engine.show import Waterfall, columns, draw_waterfall, written
from twinstack.statistics import estimate
from twinstack.statistics.estimate import Interval, Pair

Cell = frozenset[str]  # the causes that are there
Look = tuple[int, Mapping[Cell, float]]  # the deployment, and the gap in every cell
NONE: Cell = frozenset()
WHOLE, LEFT = "as the seed ran", "causes away"


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


def shared(causes: Sequence[str], looks: Sequence[Look]) -> dict[str, Interval]:
    """Give the whole gap, each cause's part and what is left, in this order: means over looks.

    Units: the logarithm of a ratio. Raises: CannotTell as `estimate`.
    """
    each = [
        {WHOLE: gaps[frozenset(causes)], **shares(causes, gaps), LEFT: gaps[NONE]}
        for _, gaps in looks
    ]
    return {
        name: estimate.difference(
            [Pair(look[0], values[name], 0.0) for look, values in zip(looks, each, strict=True)]
        )
        for name in (WHOLE, *causes, LEFT)
    }


def times(log: Interval) -> str:
    """Write a gap as a factor: ×1.42 [1.38, 1.47]."""
    return "×" + " ".join(written(log.through(math.exp), ".2f"))


def draw(found: Mapping[str, Interval]) -> str:
    """Draw the factors, and the way from the whole gap to what is left."""
    table = [[name, times(of)] for name, of in found.items()]
    ends = [(name, 100 * found[name].estimate) for name in (WHOLE, LEFT)]
    steps = {
        name: Interval(*(-100 * end for end in (of.estimate, of.high, of.low)))
        for name, of in found.items()
        if name not in {WHOLE, LEFT}
    }
    way = Waterfall("% (100 ln of the ratio)", ends[0], steps, ends[1])
    head = ["times as many requests", "[95 %]"]
    return f"{columns(head, table, rule=True)}\n\n{draw_waterfall(way)}"

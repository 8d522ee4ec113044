"""A world's figures of the last hour: each sample of five minutes, and means of ten seconds. Pure.

Both are bounded in number, whatever the samples and the clock do. A mean is of what was known in
its ten seconds; where nothing came there is no mean, so that a drawing has a gap and not a line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from twinstack.observe.live.model import EdgeSample
from twinstack.observe.live.samples import mean_ms

#: Of a sample; units as in `WorldSample`.
FIGURES = ("rate", "mean_ms", "failed_per_s", "cpus", "memory_bytes")
FINE_S, HOUR_S, MEAN_S = 300.0, 3600.0, 10.0
#: There is a sample a second, and one more where a process ended.
MOST_FINE, MOST_MEANS = 600, 361

#: The weight of a latency whose requests nginx has not counted yet: little beside any that it has.
_UNCOUNTED = 1e-3

#: When, in seconds of the epoch, then the FIGURES; None: not known.
Point = tuple[float | None, ...]


class Hour:
    """The figures of a world."""

    def __init__(self) -> None:
        self._fine: deque[Point] = deque(maxlen=MOST_FINE)
        self._means: deque[Point] = deque(maxlen=MOST_MEANS)
        self._open: list[Point] = []  # those of the ten seconds that have not ended
        self.closed = 0  # how many means there have been

    def take(self, document: Mapping[str, Any]) -> bool:
        """Add a sample; give False if the clock was set back, so that the history starts over."""
        at = float(document["at"])
        goes_on = not self._fine or at >= _at(self._fine[-1])
        if not goes_on:
            self._fine.clear()
            self._means.clear()
            self._open.clear()
        point = (at, *(document[figure] for figure in FIGURES))
        if self._open and _begin(self._open[0]) != _begin(point):
            self._means.append(mean(self._open))
            self._open.clear()
            self.closed += 1
        self._fine.append(point)
        if len(self._open) < MOST_FINE:
            self._open.append(point)
        while _at(self._fine[0]) < at - FINE_S:
            self._fine.popleft()
        while self._means and _at(self._means[0]) < at - HOUR_S:
            self._means.popleft()
        return goes_on

    def after(self, closed: int) -> list[Point]:
        """Give the means after so many, oldest first, as far as they are kept."""
        newer = min(self.closed - closed, len(self._means))
        return list(islice(self._means, len(self._means) - newer, None)) if newer > 0 else []

    def columns(self) -> dict[str, Any]:
        """Give samples and means as columns, oldest first; the time of a mean is its beginning."""
        return {
            "fine": columns(self._fine),
            "means": columns(self._means),
            "closed": self.closed,
        }


def columns(points: Iterable[Point]) -> dict[str, list[float | None]]:
    """Give points as columns."""
    rows = list(points)
    names = ("at", *FIGURES)
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def mean(points: Sequence[Point]) -> Point:
    """Give the mean of the samples of ten seconds; latency is weighed by the requests."""
    means = {name: _mean(row[place] for row in points) for place, name in enumerate(FIGURES, 1)}
    timed = [EdgeSample("", "", row[1] or _UNCOUNTED, row[2]) for row in points]
    means["mean_ms"] = mean_ms(timed)
    return (_begin(points[0]), *means.values())


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _at(point: Point) -> float:
    assert point[0] is not None
    return point[0]


def _begin(point: Point) -> float:
    return _at(point) // MEAN_S * MEAN_S

"""A waterfall: from one value to another in steps that add up, each with its interval; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from bench.engine.show import columns, signed, written
from twinstack.statistics.estimate import Interval

_BAR = 24


@dataclass(frozen=True, slots=True)
class Waterfall:
    """What leads from one value to another. A step that is not there lies in "rest"."""

    unit: str
    first: tuple[str, float]
    steps: Mapping[str, Interval]
    last: tuple[str, float]

    @property
    def rest(self) -> float:
        """Give what no step has of the way."""
        return self.last[1] - self.first[1] - sum(of.estimate for of in self.steps.values())

    def named_but(self, *nameless: str) -> float:
        """Give the part of the way that steps have, these left out (1 where there is no way)."""
        way = self.last[1] - self.first[1]
        lost = abs(self.rest) + sum(abs(self.steps[name].estimate) for name in nameless)
        return 1.0 if way == 0 else max(0.0, 1 - lost / abs(way))


def draw(of: Waterfall, least: float = 0.05) -> str:
    """Draw it with bars to one scale; steps smaller than `least` that may be none are left out."""
    shown = {name: step for name, step in of.steps.items() if step.shows(least)}
    ends = [of.first[1]]
    for step in shown.values():
        ends.append(ends[-1] + step.estimate)
    scale = _scale([*ends, of.last[1]])
    digits = 1 if max(map(abs, ends)) >= 10 else 3

    def rows() -> Iterator[list[str]]:
        yield [of.first[0], f"{of.first[1]:.{digits}f}", "", _bar(scale, of.first[1])]
        for (name, step), (start, end) in zip(shown.items(), pairwise(ends), strict=True):
            yield [f"  {name}", *written(step, f"+.{digits}f"), _bar(scale, start, end)]
        if abs(rest := of.last[1] - ends[-1]) >= least:
            bar = _bar(scale, ends[-1], of.last[1])
            yield ["  rest", signed(rest, digits), "", bar]
        yield [of.last[0], f"{of.last[1]:.{digits}f}", "", _bar(scale, of.last[1])]

    return columns([of.unit, "", "[95 %]", ""], rows(), rule=True)


def _scale(values: list[float]) -> tuple[float, float]:
    """Give where bars begin and what one column is: the steps, not the totals, must be seen."""
    low, high = min(values), max(values)
    begin = max(0.0, low - 0.4 * (high - low))
    return begin, (high - begin) / _BAR or 1.0


def _bar(scale: tuple[float, float], start: float, end: float | None = None) -> str:
    begin, column = scale
    places = [round((value - begin) / column) for value in (start, end) if value is not None]
    if end is None:
        return "█" * places[0]
    low, high = sorted(places)
    return " " * low + "▒" * max(1, high - low)

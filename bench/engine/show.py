"""Tables and sentences that fit a terminal of 80 columns; pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from twinstack.statistics.estimate import Distribution, Interval

WIDTH = 80


def wrap(*sentences: str, indent: str = "") -> str:
    """Break each sentence into lines; `indent` is put before all lines but the first."""
    return "\n".join(textwrap.fill(line, WIDTH, subsequent_indent=indent) for line in sentences)


def columns(head: Sequence[str], rows: Iterable[Sequence[str]], *, rule: bool = False) -> str:
    """Align cells under their heads: names to the left, figures to the right.

    Two blanks between columns, one where the table would not fit otherwise.
    """
    table = [head, *rows]
    columns = list(zip(*table, strict=True))
    widths = [max(map(len, column)) for column in columns]
    gap = " " if sum(widths) + 2 * (len(widths) - 1) > WIDTH else "  "
    sides = ["<", *(">" if any(map(_has_digit, column[1:])) else "<" for column in columns[1:])]
    form = gap.join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    lines = [form.format(*row).rstrip() for row in table]
    if rule:
        lines.insert(1, "─" * max(map(len, lines)))
    return "\n".join(lines)


def _has_digit(cell: str) -> bool:
    return any(map(str.isdigit, cell))


def figure(value: float) -> str:
    """Write a figure with as many digits as it deserves."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def extremes(samples: Distribution, digits: int = 0) -> str:
    """Write the least and the largest sample: (2310–2874)."""
    return f"({samples.minimum:.{digits}f}–{samples.maximum:.{digits}f})"


def part(value: float) -> str:
    """Write a part of a whole; a failure is never rounded up to 100 %."""
    return "100%" if value == 1 else f"{min(value * 100, 99.99):.2f}%"


def signed(value: float, digits: int) -> str:
    """Write a number with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def written(of: Interval, form: str = "+.1f") -> tuple[str, str]:
    """Write an estimate, and the ends of its interval: "+8.1" and "[+7.5, +9.0]"."""
    ends = (of.estimate, of.low, of.high)
    estimate, low, high = (f"{end:{form}}".replace("-", "−") for end in ends)
    return estimate, f"[{low}, {high}]"


def milliseconds(value: float) -> str:
    """Write a time with three digits. Units: ms."""
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


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


def draw_waterfall(of: Waterfall, least: float = 0.05) -> str:
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

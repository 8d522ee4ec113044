"""Tables and sentences that fit a terminal of 80 columns; pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

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

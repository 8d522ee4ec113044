"""A titled table of a report: built from rows, and written for a terminal of a given width. Pure.

A table that is too wide first loses its optional columns, the last one first; then its flexible
column loses the middle of its words; then it loses columns from
its right end, down to two. It says which. The JSON document has everything. Sizes and durations are
written with their units.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from twinstack.printable import visible

Tone = Literal["", "bad", "dim"]

#: Shown on a terminal.
MAX_ROWS = 20
_GAP = "  "
_LEAST_FLEXIBLE = 12
_FEWEST = 2  # columns


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and what becomes of it where there is no room."""

    name: str
    number: bool = False  # aligned to the right
    optional: bool = False
    flexible: bool = False


@dataclass(frozen=True, slots=True)
class TableCell:
    """A cell."""

    text: str
    amount: float | None = None  # drawn as a bar, beside those of its column
    tone: Tone = ""
    part: float | None = None  # `amount` in parts of the largest in its column


@dataclass(frozen=True, slots=True)
class Section:
    """A table with its title."""

    key: str  # its anchor in a page
    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[TableCell, ...], ...]


NOTHING = TableCell("–", tone="dim")


def section(
    key: str,
    title: str,
    note: str,
    columns: str,
    rows: Iterable[Sequence[TableCell | str | int | None]],
) -> Section:
    """Build a table. `columns` are names between commas: ">" numbers, "?" optional, "~" flexible.

    Cells may be plain text, numbers, or None for a dash.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    largest = [
        max((cell.amount or 0 for cell in column), default=0) for column in zip(*cells, strict=True)
    ]
    for row in cells:
        for at, cell in enumerate(row):
            if cell.amount is not None:
                row[at] = replace(cell, part=cell.amount / (largest[at] or 1))
    heads = tuple(_column(name.strip()) for name in columns.split(","))
    return Section(key, title, note, heads, tuple(map(tuple, cells)))


def _cell(value: TableCell | str | int | None) -> TableCell:
    if value is None:
        return NOTHING
    return value if isinstance(value, TableCell) else TableCell(str(value))


def _column(name: str) -> Column:
    marks = name[: len(name) - len(name.lstrip(">?~"))]
    return Column(name.lstrip(">?~"), ">" in marks, "?" in marks, "~" in marks)


def section_text(table: Section, width: int) -> str:
    """Write a table. Units: columns of the terminal."""
    shown = table.rows[:MAX_ROWS]
    rows = [
        [column.name for column in table.columns],
        *([visible(cell.text) for cell in row] for row in shown),
    ]
    columns = list(table.columns)
    hidden: list[str] = []

    def hide(at: int) -> None:
        hidden.append(columns.pop(at).name)
        for row in rows:
            del row[at]

    while _width(rows) > width and any(column.optional for column in columns):
        hide(max(at for at, column in enumerate(columns) if column.optional))
    for at, column in enumerate(columns):
        excess = _width(rows) - width
        if column.flexible and excess > 0:
            most = max(max(len(row[at]) for row in rows) - excess, _LEAST_FLEXIBLE)
            for row in rows:
                row[at] = _shortened(row[at], most)
    while _width(rows) > width and len(columns) > _FEWEST:
        hide(len(columns) - 1)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = textwrap.wrap(f"{table.title} ({table.note})", width, subsequent_indent="  ")
    for row in rows:
        cells = [
            cell.rjust(size) if column.number else cell.ljust(size)
            for cell, size, column in zip(row, widths, columns, strict=True)
        ]
        lines.append(_GAP.join(cells).rstrip())
    if len(table.rows) > len(shown):
        lines.append(f"… and {len(table.rows) - len(shown)} more: --json has them all")
    if hidden:
        names = ", ".join(reversed(hidden))
        lines.append(f"not shown: {names}; a wider terminal or --json shows all")
    return "\n".join(lines)


def _shortened(words: str, most: int) -> str:
    """Leave out the middle: paths begin alike, and rows cut at the end would look the same."""
    if len(words) <= most:
        return words
    head = (most - 1) // 2
    return f"{words[:head]}…{words[len(words) - (most - 1 - head) :]}"


def _width(rows: list[list[str]]) -> int:
    widest = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return sum(widest) + len(_GAP) * (len(widest) - 1)


def size(count: int) -> str:
    """Write a number of bytes."""
    if count < 10_000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 1000:
            return f"{value:.{0 if value >= 100 else 1}f} {unit}"
    return f"{value / 1000:.0f} PB"


def duration(us: float) -> str:
    """Write a duration."""
    if us < 1000:
        return f"{us:.0f} µs"
    if us < 1_000_000:
        return f"{us / 1000:.{0 if us >= 100_000 else 1}f} ms"
    return f"{us / 1_000_000:.1f} s"

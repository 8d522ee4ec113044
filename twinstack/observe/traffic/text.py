"""A report of traffic as text of a given width. Pure.

A table that is too wide first loses columns that may go, the last first; then the one that may be
shortened loses the middle of its words. The JSON document has everything.
"""

from __future__ import annotations

from twinstack.observe.traffic.report import TrafficReport
from twinstack.observe.traffic.tables import Section, headline, sections
from twinstack.printable import visible

#: Of a table.
MOST_ROWS = 20
_GAP = "  "
_LEAST_FLEXIBLE = 12


def text(found: TrafficReport, width: int = 80) -> str:
    """Write the report. Units: columns of the terminal."""
    head = "\n".join([headline(found), *(f"! {visible(note)}" for note in found.notes)])
    return "\n\n".join([head, *(table(section, width) for section in sections(found))])


def table(section: Section, width: int) -> str:
    """Write one section."""
    shown = section.rows[:MOST_ROWS]
    rows = [
        [column.name for column in section.columns],
        *([visible(cell.text) for cell in row] for row in shown),
    ]
    columns = list(section.columns)
    while _width(rows) > width and any(column.optional for column in columns):
        last = max(at for at, column in enumerate(columns) if column.optional)
        del columns[last]
        for row in rows:
            del row[last]
    for at, column in enumerate(columns):
        excess = _width(rows) - width
        if column.flexible and excess > 0:
            most = max(max(len(row[at]) for row in rows) - excess, _LEAST_FLEXIBLE)
            for row in rows:
                row[at] = _shortened(row[at], most)
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    lines = [f"{section.title} ({section.says})"]
    for row in rows:
        cells = [
            cell.rjust(size) if column.number else cell.ljust(size)
            for cell, size, column in zip(row, widths, columns, strict=True)
        ]
        lines.append(_GAP.join(cells).rstrip())
    if len(section.rows) > len(shown):
        lines.append(f"… and {len(section.rows) - len(shown)} more: --json has them all")
    return "\n".join(lines)


def _shortened(words: str, most: int) -> str:
    """Leave out the middle: paths begin alike, and rows cut at the end would look the same."""
    if len(words) <= most:
        return words
    head = (most - 1) // 2
    return f"{words[:head]}…{words[len(words) - (most - 1 - head) :]}"


def _width(table: list[list[str]]) -> int:
    columns = len(table[0])
    widest = sum(max(len(row[at]) for row in table) for at in range(columns))
    return widest + len(_GAP) * (columns - 1)

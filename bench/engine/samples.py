"""The windows of a result as one flat table: a row a window, a column a part; pure.

The JSON document of a kept result names its table and leaves the windows out: with them it would
be 95 parts samples of a hundred, and nobody would read it. Nothing is lost: `read` gives the very
windows that `write` was given.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from bench.engine.arm import Window

_PLAIN = {
    "arm": str,
    "deployment": int,
    "block": int,
    "seconds": float,
    "done": int,
    "failed": int,
    "throttled_us": float,
    "stolen_us": float,
}
#: A column of these is named PREFIX.KEY: "parts_us.dockerd", "figures.p99_ms".
_KEYED = ("parts_us", "rest_us", "services_us", "figures")


def write(windows: Iterable[Window]) -> str:
    """Write a table of windows in the order measured; a cell is empty where there is no value."""
    rows = [_row(window) for window in windows]
    keyed = dict.fromkeys(column for row in rows for column in row if column not in _PLAIN)
    ordered = sorted(keyed, key=lambda column: _KEYED.index(column.partition(".")[0]))
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_PLAIN, *ordered], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(window: Window) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(window, name) for name in _PLAIN}
    for name in _KEYED:
        values: Mapping[str, float] = getattr(window, name)
        row |= {f"{name}.{key}": float(value) for key, value in values.items()}
    return row


def read(text: str) -> tuple[Window, ...]:
    """Read such a table. Raises: ValueError, KeyError for another one."""
    return tuple(_window(row) for row in csv.DictReader(io.StringIO(text)))


def _window(row: Mapping[str, str]) -> Window:
    keyed: dict[str, dict[str, float]] = {name: {} for name in _KEYED}
    for column, cell in row.items():
        name, dot, key = column.partition(".")
        if dot and cell:
            keyed[name][key] = float(cell)
    fields: dict[str, Any] = {name: kind(row[name]) for name, kind in _PLAIN.items()}
    return Window(**(fields | keyed))

"""The windows of a result as one flat table: a row a window, a column a part; pure.

The JSON document of a kept result names its table and leaves the windows out: with them it would
be 95 parts samples of a hundred, and nobody would read it. Nothing is lost: `read` gives the very
windows that `write` was given. Columns of a mapping are "parts_us.dockerd", "figures.p99_ms".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from bench.engine.arm import Window

_KINDS = {"arm": str, "deployment": int, "block": int, "done": int, "failed": int}
_MAPPINGS = ("parts_us", "rest_us", "services_us", "figures")


def write(windows: Iterable[Window]) -> str:
    """Write windows in the order measured; a cell is empty where there is no value."""
    rows = [dict(_cells(asdict(window))) for window in windows]
    text = io.StringIO()
    columns = dict.fromkeys(column for row in rows for column in row)
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cells(window: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    for name, value in window.items():
        if name in _MAPPINGS:
            yield from ((f"{name}.{key}", float(number)) for key, number in value.items())
        else:
            yield name, value


def read(text: str) -> tuple[Window, ...]:
    """Read such a table. Raises: ValueError, TypeError for another one."""
    return tuple(_window(row) for row in csv.DictReader(io.StringIO(text)))


def _window(row: Mapping[str, str]) -> Window:
    fields: dict[str, Any] = {name: {} for name in _MAPPINGS}
    for column, cell in row.items():
        name, dot, key = column.partition(".")
        if not dot:
            fields[name] = _KINDS.get(name, float)(cell)
        elif cell:
            fields[name][key] = float(cell)
    return Window(**fields)

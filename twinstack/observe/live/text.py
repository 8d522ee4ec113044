"""How figures of a sample are said to people, and the verdict over all of them; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: Beside its colour each state has a sign and a word.
SIGNS: Mapping[str, str] = {"up": "●", "degraded": "▲", "down": "■", "absent": "○"}


def rate(value: float | None) -> str:
    """Say requests per second."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def milliseconds(value: float | None) -> str:
    """Say a time."""
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"


def size(value: float | None) -> str:
    """Say a number of bytes."""
    if value is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def part(value: float | None, limit: float | None) -> str:
    """Say what is used of a limit."""
    if value is None:
        return "–"
    return f"{value / limit:.0%}" if limit else "no limit"


def exit_code(documents: Iterable[Mapping[str, Any]]) -> int:
    """Judge samples: 0 all is up, 1 something is down, 2 nothing is up or a world cannot be told.

    A world that is not up at all is no failure beside one that is.
    """
    found = list(documents)
    states = {replica["state"] for one in found if one["up"] for replica in one["replicas"]}
    if not states & {"up", "degraded"}:
        return 2
    if states & {"down", "absent"}:
        return 1
    return 2 if any(one["trouble"] for one in found) else 0

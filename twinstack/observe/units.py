"""Sizes and durations with their units, for tables. Pure."""

from __future__ import annotations


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

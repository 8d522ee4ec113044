"""Shrink a failing schedule to the few faults that make it fail; pure.

Delta debugging: parts, then complements of parts, in ever finer division. What remains fails, and
leaving any one of it out does not. Source: Zeller and Hildebrandt, "Simplifying and Isolating
Failure-Inducing Input", 2002.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


def shrink(items: Sequence[T], fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """Give a smallest failing part of `items`, which fails as a whole.

    `fails` is asked once for each part. Raises: whatever it raises.
    """
    current = tuple(items)
    known: dict[tuple[T, ...], bool] = {current: True}

    def failing(part: tuple[T, ...]) -> bool:
        if part not in known:
            known[part] = bool(part) and fails(part)
        return known[part]

    division = 2
    while len(current) > 1:
        parts = _divide(current, division)
        smaller = next((part for part in parts if failing(part)), None)
        if smaller is not None:
            current, division = smaller, 2
            continue
        rests = (
            tuple(item for other in parts if other is not part for item in other) for part in parts
        )
        rest = next((rest for rest in rests if failing(rest)), None)
        if rest is not None:
            current, division = rest, max(division - 1, 2)
        elif division >= len(current):
            break
        else:
            division = min(len(current), division * 2)
    return current


def _divide(items: tuple[T, ...], count: int) -> list[tuple[T, ...]]:
    count = min(count, len(items))
    edges = [len(items) * n // count for n in range(count + 1)]
    return [items[start:end] for start, end in pairwise(edges)]

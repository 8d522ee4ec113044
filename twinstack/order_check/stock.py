"""How much of each product may have been sold by a moment, and how much must have been; pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from twinstack.order_check.history import Lines


@dataclass(frozen=True, slots=True)
class _Sum:
    """A sum that grows at moments."""

    moments: tuple[float, ...]
    totals: tuple[int, ...]

    def at(self, moment_s: float) -> int:
        place = bisect_right(self.moments, moment_s)
        return self.totals[place - 1] if place else 0


@dataclass(frozen=True, slots=True)
class Sales:
    """What was sold of each product. Units: seconds; pieces."""

    begun: Mapping[int, _Sum]  # by the moment at which an order was first sent
    acknowledged: Mapping[int, _Sum]  # by the moment at which it was first answered
    stock: Mapping[int, int]  # before the first

    @staticmethod
    def of(orders: Iterable[tuple[Lines, float, float]], stock: Mapping[int, int]) -> Sales:
        """Add up orders: lines, when first sent, when first acknowledged (infinity: never)."""
        begun: dict[int, list[tuple[float, int]]] = defaultdict(list)
        acknowledged: dict[int, list[tuple[float, int]]] = defaultdict(list)
        for lines, sent_s, answered_s in orders:
            for product, quantity in lines:
                begun[product].append((sent_s, quantity))
                acknowledged[product].append((answered_s, quantity))
        return Sales(_sums(begun), _sums(acknowledged), stock)

    def least(self, product: int, moment_s: float) -> int:
        """Give the smallest stock that there can have been at a moment."""
        return self.stock[product] - _at(self.begun, product, moment_s)

    def most(self, product: int, moment_s: float) -> int:
        """Give the largest stock that there can have been at a moment."""
        return self.stock[product] - _at(self.acknowledged, product, moment_s)


def _at(sums: Mapping[int, _Sum], product: int, moment_s: float) -> int:
    return sums[product].at(moment_s) if product in sums else 0


def _sums(steps: Mapping[int, list[tuple[float, int]]]) -> dict[int, _Sum]:
    sums = {}
    for product, grown in steps.items():
        grown.sort()
        totals = tuple(accumulate(quantity for _, quantity in grown))
        sums[product] = _Sum(tuple(moment for moment, _ in grown), totals)
    return sums

"""What is counted in few buckets however much there is of it: durations, and traffic over time.

Durations have buckets that grow by 4.4 %; steps of time double as it goes on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from twinstack.observe.traffic.columns import Ints
from twinstack.observe.traffic.report import Percentiles, TimelineStep

#: Buckets in which a value doubles.
_PER_DOUBLING = 16
_HIGHEST = 64 * _PER_DOUBLING - 1
_MAX_STEPS = 240
_FIRST_STEP_NS = 1_000_000


def bucket_of(value_ns: int) -> int:
    """Give a duration's bucket; the least one for what is none."""
    return min(int(math.log2(value_ns) * _PER_DOUBLING), _HIGHEST) if value_ns > 1 else 0


def buckets_of(values_ns: Ints) -> Ints:
    """Give the buckets of many durations."""
    logs = np.log2(np.maximum(values_ns, 1).astype(np.float64)) * _PER_DOUBLING
    return np.minimum(logs.astype(np.int64), _HIGHEST)


def percentiles(histogram: Mapping[int, int]) -> Percentiles | None:
    """Summarise a histogram (bucket → count); None for an empty one."""
    total = sum(histogram.values())
    if not total:
        return None
    buckets = sorted(histogram)
    counted = np.cumsum([histogram[bucket] for bucket in buckets])  # up to each bucket's end
    ranks = np.searchsorted(counted, (1, 0.5 * total, 0.99 * total)).tolist()
    return Percentiles(total, *(2 ** ((buckets[n] + 0.5) / _PER_DOUBLING) / 1000 for n in ranks))


class Timeline:
    """Counts in steps of `step_ns`."""

    def __init__(self) -> None:
        self.step_ns = _FIRST_STEP_NS
        self._steps: dict[int, tuple[int, int]] = {}

    def add(self, times_ns: Ints, lengths: Ints) -> None:
        """Count packets."""
        if not len(times_ns):
            return
        low, high = int(times_ns.min()), int(times_ns.max())
        while self._span(low // self.step_ns, high // self.step_ns) > _MAX_STEPS:
            self.step_ns *= 2
            steps, self._steps = self._steps, {}
            for number, counts in steps.items():
                self._count(number // 2, *counts)
        numbers = times_ns // self.step_ns - low // self.step_ns
        packets = np.bincount(numbers)
        size = np.bincount(numbers, weights=lengths)
        for number in np.flatnonzero(packets).tolist():
            self._count(number + low // self.step_ns, int(packets[number]), int(size[number]))

    def steps(self) -> tuple[TimelineStep, ...]:
        """Give every step from the first to the last."""
        if not self._steps:
            return ()
        first = min(self._steps)
        return tuple(
            TimelineStep((number - first) * self.step_ns / 1e9, *self._steps.get(number, (0, 0)))
            for number in range(first, max(self._steps) + 1)
        )

    def _span(self, low: int, high: int) -> int:
        return max([high, *self._steps]) - min([low, *self._steps]) + 1

    def _count(self, number: int, packets: int, size: int) -> None:
        packets_before, size_before = self._steps.get(number, (0, 0))
        self._steps[number] = packets_before + packets, size_before + size

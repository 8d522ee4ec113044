"""Durations in little memory: a histogram of buckets that grow by 4.4 %, and its percentiles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from twinstack.observe.traffic.columns import Ints

#: Buckets in which a value doubles.
_PER_DOUBLING = 16
_HIGHEST = 64 * _PER_DOUBLING - 1


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Units: microseconds, each within 2.2 %."""

    count: int
    least_us: float
    median_us: float
    p99_us: float


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

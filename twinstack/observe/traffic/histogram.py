"""How values are spread, in little memory: counts in buckets that grow by 4.4 %. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Buckets in which a value doubles.
_FINE = 16
_HIGHEST = 64 * _FINE - 1


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Units: microseconds; each within 2.2 %."""

    count: int
    least_us: float
    median_us: float
    p99_us: float


def bucket_of(value_ns: int) -> int:
    """Give a value's bucket; what is no time is the least."""
    return min(int(math.log2(value_ns) * _FINE), _HIGHEST) if value_ns > 1 else 0


def buckets_of(values_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give many values' buckets."""
    logs = np.log2(np.maximum(values_ns, 1).astype(np.float64)) * _FINE
    return np.minimum(logs.astype(np.int64), _HIGHEST)


def spread(counts: Mapping[int, int]) -> Percentiles | None:
    """Tell how the counted values are spread; None when there are none."""
    total = sum(counts.values())
    if not total:
        return None
    least = min(bucket for bucket, count in counts.items() if count)
    return Percentiles(
        total,
        _middle_us(least),
        _middle_us(_quantile(counts, 0.5 * total)),
        _middle_us(_quantile(counts, 0.99 * total)),
    )


def _quantile(counts: Mapping[int, int], rank: float) -> int:
    seen, bucket = 0, 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            break
    return bucket


def _middle_us(bucket: int) -> float:
    return float(2 ** ((bucket + 0.5) / _FINE) / 1000)

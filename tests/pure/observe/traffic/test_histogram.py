"""Percentiles are within their promise."""

from __future__ import annotations

import numpy as np
import pytest

from twinstack.observe.traffic.histogram import bucket_of, buckets_of, percentiles


@pytest.mark.parametrize("value", [0, 1, 2, 1000, 123_456, 10**9, 2**62, -5])
def test_one_value_and_many_fall_into_the_same_bucket(value: int):
    assert bucket_of(value) == buckets_of(np.array([value]))[0]


def test_percentiles_are_within_their_promise():
    values = [1000 * number for number in range(1, 1001)]
    summary = percentiles(
        {
            bucket: sum(1 for value in values if bucket_of(value) == bucket)
            for bucket in {bucket_of(value) for value in values}
        }
    )
    assert summary is not None
    assert summary.count == 1000
    assert summary.median_us == pytest.approx(500, rel=0.023)
    assert summary.p99_us == pytest.approx(990, rel=0.023)
    assert percentiles({}) is None

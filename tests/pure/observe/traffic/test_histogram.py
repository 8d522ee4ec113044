"""Percentiles are within their promise."""

from __future__ import annotations

import numpy as np
import pytest

from twinstack.observe.traffic.histogram import bucket_of, buckets_of, percentiles


@pytest.mark.parametrize("value", [0, 1, 2, 1000, 123_456, 10**9, 2**62, -5])
def test_one_value_and_many_fall_into_the_same_bucket(value: int):
    assert bucket_of(value) == buckets_of(np.array([value]))[0]


def test_a_spread_is_within_its_promise():
    values = [1000 * number for number in range(1, 1001)]
    found = percentiles(
        {
            bucket: sum(1 for one in values if bucket_of(one) == bucket)
            for bucket in {bucket_of(one) for one in values}
        }
    )
    assert found is not None
    assert found.count == 1000
    assert found.median_us == pytest.approx(500, rel=0.023)
    assert found.p99_us == pytest.approx(990, rel=0.023)
    assert percentiles({}) is None

"""Sizes and durations are readable."""

from __future__ import annotations

import pytest

from twinstack.observe.units import duration, size


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0 B"),
        (9999, "9999 B"),
        (10_000, "10.0 kB"),
        (123_456, "123 kB"),
        (5_500_000, "5.5 MB"),
        (10**15, "1 PB"),
        (10**18, "1000 PB"),
    ],
)
def test_bytes_are_readable(value: int, expected: str):
    assert size(value) == expected


@pytest.mark.parametrize(
    ("us", "expected"),
    [(0.4, "0 µs"), (999, "999 µs"), (1500, "1.5 ms"), (250_000, "250 ms"), (2_500_000, "2.5 s")],
)
def test_times_are_readable(us: float, expected: str):
    assert duration(us) == expected

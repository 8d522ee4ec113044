"""An hour is bounded and exact: samples for five minutes, means of ten seconds, gaps where none."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest

from twinstack.observe.live.hour import FIGURES, MOST_FINE, MOST_MEANS, Hour, mean


def document(at: float, **figures: float | None) -> dict[str, Any]:
    return {"at": at, **dict.fromkeys(FIGURES), **figures}


def hour_of(moments: Iterable[float], **figures: float | None) -> Hour:
    hour = Hour()
    for at in moments:
        hour.take(document(at, **figures))
    return hour


def test_samples_are_kept_for_five_minutes_and_means_for_an_hour() -> None:
    kept = hour_of(range(20_000, 30_000), rate=7.0).columns()
    assert (kept["fine"]["at"][0], kept["fine"]["at"][-1]) == (29_699, 29_999)
    assert (kept["means"]["at"][0], kept["means"]["at"][-1]) == (26_400, 29_980)
    assert set(kept["means"]["rate"]) == {7.0}
    assert kept["closed"] == 999


def test_a_mean_is_of_what_was_known_and_latency_is_weighed_by_requests() -> None:
    hour = Hour()
    hour.take(document(100.2, rate=1.0, mean_ms=9.0, cpus=0.5))
    hour.take(document(101.2, rate=8.0, mean_ms=0.9, memory_bytes=None))
    hour.take(document(102.2, rate=None, mean_ms=None, cpus=0.7))
    assert hour.columns()["means"]["at"] == []  # the ten seconds go on
    hour.take(document(110.0))
    means = hour.columns()["means"]
    assert means["at"] == [100.0]
    assert means["rate"] == [4.5]
    assert means["mean_ms"] == [pytest.approx(16.2 / 9)]
    assert means["cpus"] == [pytest.approx(0.6)]
    assert means["memory_bytes"] == [None]  # unknown is not zero


def test_a_latency_without_counted_requests_hardly_weighs() -> None:
    points = [(0.0, 0.0, 500.0, 0, 0, 0), (1.0, 10.0, 2.0, 0, 0, 0), (2.0, 0.0, None, 0, 0, 0)]
    assert mean(points)[2] == pytest.approx(2.0, abs=0.1)
    assert mean(points[:1])[2] == pytest.approx(500.0)


def test_where_nothing_came_there_is_no_mean() -> None:
    means = hour_of([*range(1000, 1030), *range(2800, 2830)], rate=1.0).columns()["means"]
    assert means["at"] == [1000, 1010, 1020, 2800, 2810]
    down = hour_of(range(1000, 1021), rate=None).columns()["means"]
    assert (down["at"], down["rate"]) == ([1000, 1010], [None, None])


@pytest.mark.parametrize("value", [0.0, 1e7, 0.1 + 0.2])
def test_figures_are_exact(value: float) -> None:
    kept = hour_of(range(0, 50), **dict.fromkeys(FIGURES, value)).columns()
    for figure in FIGURES:
        assert set(kept["fine"][figure]) == {value}
        assert kept["means"][figure] == [pytest.approx(value, rel=1e-12)] * 4


def test_a_clock_that_is_set_back_starts_the_hour_over_and_one_set_forward_leaves_a_gap() -> None:
    hour = hour_of(range(5000, 5100), rate=1.0)
    assert hour.take(document(5100.0, rate=1.0))
    assert not hour.take(document(10.0, rate=2.0))
    assert hour.take(document(10.0, rate=2.0))
    kept = hour.columns()
    assert (kept["fine"]["at"], kept["means"]["at"], kept["closed"]) == ([10, 10], [], 10)
    assert hour.after(0) == []
    hour.take(document(4e9, rate=3.0))
    kept = hour.columns()
    assert (kept["fine"]["at"], kept["means"]["at"]) == ([4e9], [])
    hour.take(document(4e9 + 10, rate=3.0))
    assert hour.columns()["means"]["at"] == [4e9]


def test_each_mean_is_given_once_and_of_missed_ones_those_that_are_kept() -> None:
    hour = hour_of(range(0, 100), rate=1.0)
    assert [point[0] for point in hour.after(6)] == [60, 70, 80]
    assert hour.after(9) == hour.after(12) == []
    for at in range(100, 20_000):
        hour.take(document(float(at), rate=1.0))
    assert len(hour.after(9)) == len(hour.columns()["means"]["at"]) <= MOST_MEANS


def test_an_hour_takes_bounded_memory_however_long_and_however_many() -> None:
    hour = Hour()

    def feed(begin: int, end: int, a_second: int = 1) -> int:
        for step in range(begin * a_second, end * a_second):
            at = step / a_second
            hour.take(document(at, rate=at, mean_ms=at, cpus=at, failed_per_s=0.0, memory_bytes=at))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        after_an_hour = feed(0, 4000)
        assert feed(4000, 12_000) < after_an_hour + 20_000
        assert feed(12_000, 12_400, 50) < 1_000_000
    finally:
        tracemalloc.stop()
    kept = hour.columns()
    assert len(kept["fine"]["at"]) == MOST_FINE
    assert len(kept["means"]["at"]) <= MOST_MEANS

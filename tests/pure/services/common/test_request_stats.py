"""What is counted of requests: each once, in threads too, and in few series whatever is sent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.common.request_stats import BOUNDS_S, Counts, RequestStats


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can: what can be lost between them is."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty")
def test_each_of_many_threads_requests_is_counted_once() -> None:
    stats, named = RequestStats(), Counts("a", "b")

    def count(number: int) -> None:
        for place in range(5_000):
            stats.add("GET", 200 + place % 2, 0.001 * (place % 7))
            named.add("ab"[place % 2])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    counts = stats.counts()
    assert counts.answers == {("GET", 200): 20_000, ("GET", 201): 20_000}
    assert sum(counts.buckets) == 40_000
    assert counts.busy_s == pytest.approx(sum(0.001 * (place % 7) for place in range(5_000)) * 8)
    assert named.counts() == {"a": 20_000, "b": 20_000}


def test_a_request_is_in_the_bucket_whose_bound_it_reaches() -> None:
    stats = RequestStats()
    for took_s in (0.0, BOUNDS_S[0], BOUNDS_S[0] * 1.001, BOUNDS_S[-1], BOUNDS_S[-1] * 1.001, 1e9):
        stats.add("GET", 200, took_s)
    buckets = stats.counts().buckets
    assert (buckets[0], buckets[1], buckets[-2], buckets[-1]) == (2, 1, 1, 2)
    assert sum(buckets) == 6


def test_made_up_methods_are_one_series() -> None:
    stats = RequestStats()
    for number in range(1_000):
        stats.add(f"M{number}", 405, 0.001)
    for method in ("get", "", "other", "GET\n", "é" * 1_000):
        stats.add(method, 405, 0.001)
    stats.add("GET", 405, 0.001)
    assert stats.counts().answers == {("other", 405): 1_005, ("GET", 405): 1}

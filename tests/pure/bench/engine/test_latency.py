"""Intervals of quantiles hold for windows that drift and stall; a rate is found among them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.engine import latency
from bench.engine.latency import RateTrial, highest_rate, keeps, next_rate, quantile, quantiles
from twinstack.errors import CannotTell

RNG = np.random.default_rng


def windows(seed: int, level: float = 0.0, count: int = 16) -> list[list[float]]:
    """Give windows of 700 latencies (µs), a quarter of them with a stall, each of its own level."""
    rng, made = RNG(seed), []
    for _ in range(count):
        values = rng.lognormal(math.log(2_000) + level + rng.normal(0, 0.06), 0.6, 700)
        if rng.random() < 0.25:
            values[:20] += np.linspace(20_000, 0, 20)
        made.append([float(value) for value in values])
    return made


def test_quantile_is_the_least_value_that_the_part_does_not_exceed() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1.0)) == (50, 99, 100)
    assert quantiles([values] * 8, seed=1).span(0.5).estimate == 50  # type: ignore[union-attr]
    with pytest.raises(CannotTell, match="nothing was measured"):
        quantile([], 0.5)


def test_intervals_cover_the_truth_although_windows_drift_and_stall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latency, "RESAMPLES", 200)
    truth = np.quantile(np.concatenate(windows(0, count=600)), (0.5, 0.99))
    covered = np.zeros(2)
    for seed in range(1, 61):
        drawn = quantiles(windows(seed), seed=seed)
        spans = [drawn.span(part) for part in (0.5, 0.99)]
        covered += [
            s is not None and s.low <= t <= s.high for s, t in zip(spans, truth, strict=True)
        ]
    assert min(covered) >= 60 * 0.85
    # requests drawn one by one, as if they were independent: nearly every interval is wrong
    monkeypatch.setattr(latency, "BLOCK", 1)
    naive = [
        quantiles(np.array_split(np.ravel(windows(s)), 11_200 // 8), seed=1) for s in range(1, 9)
    ]
    wrong = [not s.low <= truth[0] <= s.high for drawn in naive if (s := drawn.span(0.5))]
    assert sum(wrong) >= 2


def test_drift_that_both_arms_share_cancels_in_their_ratio() -> None:
    first = windows(3)
    second = [[value * 1.1 for value in window] for window in first]
    ratio = quantiles(second, seed=1).over(quantiles(first, seed=1), 0.99)
    assert ratio is not None
    assert (round(ratio.low, 6), round(ratio.high, 6)) == (1.1, 1.1)


def test_a_quantile_that_few_requests_exceed_is_not_given() -> None:
    drawn = quantiles(windows(1, count=8), seed=1)  # 5,600 requests: 6 beyond p99.9
    assert drawn.span(0.99) is not None
    assert drawn.span(0.999) is None
    with pytest.raises(CannotTell, match="too few"):
        quantiles(windows(1, count=7), seed=1)


def test_a_failed_request_is_slower_than_any_bound() -> None:
    assert keeps([1] * 99 + [-1], 0.99, 10)
    assert not keeps([1] * 98 + [-1, 10], 0.99, 10)


def test_the_rate_rises_after_a_window_that_kept_the_bound_and_its_steps_shrink() -> None:
    trials: list[RateTrial] = []
    rates = []
    for kept in (True, True, False, True, False, False):
        rates.append(next_rate(trials, 100.0))
        trials.append(RateTrial(rates[-1], kept))
    assert [round(rate) for rate in rates] == [100, 125, 156, 140, 148, 141]


@pytest.mark.parametrize("truth", [300.0, 2_500.0])
def test_the_highest_rate_is_found_among_windows_that_differ(truth: float) -> None:
    covered, off = 0, []
    for seed in range(40):
        rng, trials, drift = RNG(seed), list[RateTrial](), 0.0
        for _ in range(15):
            rate = next_rate(trials, 1_500.0)
            drift = 0.6 * drift + rng.normal(0, 0.03)
            chance = 1 / (1 + math.exp((math.log(rate / truth) - drift) / 0.03))
            trials.append(RateTrial(rate, bool(rng.random() < chance)))
        span = highest_rate(trials)
        covered += span.low <= truth <= span.high
        off.append(math.log(span.estimate / truth))
    assert covered >= 35
    assert abs(float(np.mean(off))) < 0.02
    assert float(np.std(off)) < 0.06


@pytest.mark.parametrize(("kept", "word"), [(True, "every window"), (False, "no window")])
def test_a_bound_that_no_rate_reaches_has_no_highest_rate(kept: bool, word: str) -> None:
    with pytest.raises(CannotTell, match=word):
        highest_rate([RateTrial(100.0, kept)] * 9)

"""The statistics of the benchmark: known answers, laws, and the coverage of its intervals."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.engine.estimate import Ratio, above, below, paired, paired_log_ratios, ratio, spread
from bench.engine.trials import Trial
from tests.support.bench_fakes import sampled
from twinstack.errors import CannotTell

samples = st.lists(st.floats(0.1, 1e6), min_size=6, max_size=20)
pairs = st.lists(st.tuples(st.floats(0.1, 1e6), st.floats(0.1, 1e6)), min_size=6, max_size=15)


def drifting_rounds(rng: random.Random, rounds: int, effect: float) -> tuple[list[float], ...]:
    """Measure two systems on a machine that drifts and now and then stalls."""
    firsts, seconds = [], []
    drift = 0.0
    for _ in range(rounds):
        drift += rng.gauss(0, 0.05)
        noise = [rng.gauss(0, 0.2 if rng.random() < 0.15 else 0.03) for _ in range(2)]
        firsts.append(math.exp(8 + drift + effect + noise[0]))
        seconds.append(math.exp(8 + drift + noise[1]))
    return firsts, seconds


def test_spread_of_known_samples_is_known() -> None:
    found = spread([5, 1, 2, 4, 3])
    assert (found.count, found.median, found.minimum, found.maximum) == (5, 3, 1, 5)
    assert (found.low_quartile, found.high_quartile) == (2, 4)


def test_spread_of_one_sample_is_that_sample() -> None:
    found = spread([7.0])
    assert (found.median, found.low_quartile, found.maximum) == (7, 7, 7)


def test_spread_of_nothing_cannot_be_told() -> None:
    with pytest.raises(CannotTell):
        spread([])


def test_ratio_of_constant_doubles_is_exactly_two() -> None:
    found = ratio([2.0] * 10, [1.0] * 10, seed=1)
    assert found.estimate == pytest.approx(2)
    assert (found.low, found.high) == pytest.approx((2, 2))
    assert found.verdict == "more"


def test_ratio_is_the_median_of_the_pairs_and_not_of_the_sides() -> None:
    firsts = [10.0, 20, 30, 40, 50, 60, 70]
    seconds = [5.0, 10, 15, 20, 25, 30, 7]
    assert ratio(firsts, seconds, seed=1).estimate == pytest.approx(2)


def test_ratio_is_the_same_for_the_same_seed() -> None:
    firsts, seconds = drifting_rounds(random.Random(3), 10, 0.0)
    assert ratio(firsts, seconds, seed=5) == ratio(firsts, seconds, seed=5)


@pytest.mark.parametrize("pairs", [0, 1, 5])
def test_ratio_of_too_few_rounds_cannot_be_told(pairs: int) -> None:
    with pytest.raises(CannotTell, match="too few"):
        ratio([1.0] * pairs, [1.0] * pairs, seed=1)


def test_ratio_of_a_round_without_success_cannot_be_told() -> None:
    with pytest.raises(CannotTell, match="a sample is 0"):
        ratio([0.0, *[1.0] * 9], [1.0] * 10, seed=1)


def test_pairs_of_unequal_length_cannot_be_told() -> None:
    with pytest.raises(CannotTell, match="2 against 1"):
        paired_log_ratios([1.0, 2.0], [1.0])


def test_a_sample_that_is_not_a_number_cannot_be_told() -> None:
    with pytest.raises(CannotTell):
        paired_log_ratios([math.nan, 1.0], [1.0, 1.0])


@settings(max_examples=40, deadline=None)
@given(pairs, st.floats(0.01, 100))
def test_ratio_does_not_change_with_the_unit(
    pairs: list[tuple[float, float]], scale: float
) -> None:
    firsts, seconds = [a for a, _ in pairs], [b for _, b in pairs]
    plain = ratio(firsts, seconds, seed=1, resamples=300)
    scaled = ratio([a * scale for a in firsts], [b * scale for b in seconds], seed=1, resamples=300)
    assert (plain.estimate, plain.low, plain.high) == pytest.approx(
        (scaled.estimate, scaled.low, scaled.high), rel=1e-6
    )


@settings(max_examples=40, deadline=None)
@given(pairs, st.floats(0.01, 100))
def test_ratio_scales_with_its_numerator(pairs: list[tuple[float, float]], scale: float) -> None:
    firsts, seconds = [a for a, _ in pairs], [b for _, b in pairs]
    plain = ratio(firsts, seconds, seed=1, resamples=300)
    scaled = ratio([a * scale for a in firsts], seconds, seed=1, resamples=300)
    assert scaled.estimate == pytest.approx(plain.estimate * scale, rel=1e-6)
    assert (scaled.low, scaled.high) == pytest.approx(
        (plain.low * scale, plain.high * scale), rel=1e-6
    )


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_ratio_lies_within_its_interval(pairs: list[tuple[float, float]]) -> None:
    found = ratio([a for a, _ in pairs], [b for _, b in pairs], seed=1, resamples=300)
    assert found.low <= found.estimate * (1 + 1e-9)
    assert found.estimate <= found.high * (1 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(samples)
def test_a_sample_against_itself_shows_no_difference(values: list[float]) -> None:
    found = ratio(values, values, seed=1, resamples=300)
    assert found.verdict == "no measurable difference"


@pytest.mark.parametrize("rounds", [10, 20])
def test_intervals_of_a_system_with_itself_hold_one_at_least_93_times_of_100(rounds: int) -> None:
    rng = random.Random(20)
    inside = 0
    for trial in range(400):
        found = ratio(*drifting_rounds(rng, rounds, 0.0), seed=trial, resamples=600)
        inside += found.low <= 1 <= found.high
    assert inside / 400 >= 0.93


def test_intervals_hold_the_true_effect_at_least_93_times_of_100() -> None:
    rng = random.Random(21)
    inside = 0
    for trial in range(400):
        found = ratio(*drifting_rounds(rng, 10, 0.1), seed=trial, resamples=600)
        inside += found.low <= math.exp(0.1) <= found.high
    assert inside / 400 >= 0.93


def test_ten_rounds_mostly_see_a_difference_of_a_tenth() -> None:
    rng = random.Random(22)
    seen = sum(
        ratio(*drifting_rounds(rng, 10, 0.1), seed=trial, resamples=400).verdict == "more"
        for trial in range(100)
    )
    assert seen > 70


def test_pairing_takes_the_drift_out() -> None:
    firsts, seconds = drifting_rounds(random.Random(23), 40, 0.0)
    across = statistics.pstdev(math.log(value) for value in firsts)
    within = statistics.pstdev(paired_log_ratios(firsts, seconds))
    assert within < across


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.00, 1.02, "holds"), (1.04, 1.06, "fails"), (1.02, 1.04, "cannot tell")],
)
def test_bound_is_decided_by_the_whole_interval(low: float, high: float, expected: str) -> None:
    assert expected == below(Ratio(1.03, low, high, 10), 1.03)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.5, 0.6, "holds"), (0.4, 0.49, "fails"), (0.45, 0.6, "cannot tell")],
)
def test_floor_is_decided_by_the_whole_interval(low: float, high: float, expected: str) -> None:
    assert expected == above(Ratio(0.5, low, high, 10), 0.5)


def test_arms_are_paired_by_round_whatever_their_order() -> None:
    first = [Trial(what="a", **sampled(number, 200.0 + number)) for number in range(8)]
    second = [Trial(what="b", **sampled(number, 100.0 + number / 2)) for number in range(7, -1, -1)]
    assert paired(first, second, "rate", seed=1).estimate == pytest.approx(2)
    assert paired(first, second[:6], "rate", seed=1).pairs == 6


def test_a_ratio_is_written_as_a_change_and_a_saving() -> None:
    found = Ratio(1.25, 1.0, 2.0, 10)
    assert found.undecided
    assert found.percent == "+25.0% (+0.0% to +100.0%)"
    assert found.saved == "20.0% (95 % interval 0.0% to 50.0%)"

"""The statistics of the benchmark: known answers, laws, and what an interval decides."""

from __future__ import annotations

import json
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.project import ROOT
from twinstack.errors import CannotTell
from twinstack.statistics.estimate import (
    Pair,
    Ratio,
    blocks,
    difference,
    exit_code,
    holds,
    holm,
    paired,
    ratio,
    shift,
    spread,
    verdict,
)

positive = st.floats(0.1, 1e6)
many_deployments = st.lists(st.tuples(positive, positive), min_size=3, max_size=15)


@dataclass(frozen=True)
class Sample:
    deployment: int
    block: int
    rate: float


def pairs_of(values: Sequence[tuple[float, float]], deployments: int = 3) -> list[Pair]:
    """Deal blocks out to deployments in turn."""
    return [Pair(place % deployments, *both) for place, both in enumerate(values)]


def of_logs(logs: Sequence[float], deployments: int) -> list[Pair]:
    return pairs_of([(math.exp(log), 1.0) for log in logs], deployments)


def known(low: float, high: float) -> Ratio:
    return Ratio(math.sqrt(low * high), low, high, pairs=24, deployments=8, p=0.5)


def test_spread_of_known_samples_is_known() -> None:
    found = spread([5, 1, 2, 4, 3])
    assert (found.count, found.median, found.minimum, found.maximum) == (5, 3, 1, 5)


def test_spread_of_one_sample_is_that_sample() -> None:
    found = spread([7.0])
    assert (found.median, found.minimum, found.maximum) == (7, 7, 7)


def test_spread_of_nothing_cannot_be_told() -> None:
    with pytest.raises(CannotTell):
        spread([])


@pytest.mark.parametrize("deployments", [1, 3, 4])
def test_ratio_of_constant_doubles_is_exactly_two(deployments: int) -> None:
    found = ratio(pairs_of([(2.0, 1.0)] * 12, deployments))
    assert (found.estimate, found.low, found.high) == pytest.approx((2, 2, 2))
    assert (found.pairs, found.deployments) == (12, deployments)
    assert found.p < 0.01


def test_ratio_is_the_median_of_walsh_averages() -> None:
    logs = [0.0, 0.1, 0.3, 0.2, 5.0, 0.25]
    averages = [(a + b) / 2 for i, a in enumerate(logs) for b in logs[i:]]
    assert math.log(ratio(of_logs(logs, 3)).estimate) == pytest.approx(statistics.median(averages))


def test_interval_over_deployments_is_students_of_their_estimates() -> None:
    logs = [0.01, 0.04, 0.07]  # one block a deployment: mean 0.04, error 0.03 / sqrt(3)
    found = ratio(of_logs(logs, 3))
    assert found.half_width == pytest.approx(4.3027 * 0.03 / math.sqrt(3), rel=1e-4)
    assert math.log(found.low * found.high) / 2 == pytest.approx(0.04)
    assert found.p == pytest.approx(0.147, abs=1e-3)


def test_interval_of_one_deployment_is_the_signed_ranks() -> None:
    logs = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]  # six: from the least to the most
    found = ratio(of_logs(logs, 1))
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((0.01, 0.06))
    assert found.p == 2 / 2**6


def test_deployments_that_differ_widen_the_interval_that_their_blocks_do_not() -> None:
    rng = random.Random(5)
    lasting = [0.03, -0.03, 0.0, 0.02]
    noisy = [
        Pair(deployment, math.exp(lasting[deployment] + rng.gauss(0, 0.002)), 1.0)
        for deployment in range(4)
        for _ in range(6)
    ]
    as_one = [Pair(0, pair.first, pair.second) for pair in noisy]
    assert ratio(noisy).half_width > 2 * ratio(as_one).half_width


def test_one_stalled_block_moves_the_estimate_little() -> None:
    steady = [0.001 * place for place in range(-6, 6)]
    stalled = [*steady[:-1], -2.0]
    assert abs(math.log(ratio(of_logs(stalled, 4)).estimate)) < 0.005


@pytest.mark.parametrize("count", [0, 1, 5])
def test_ratio_of_too_few_blocks_of_one_deployment_cannot_be_told(count: int) -> None:
    with pytest.raises(CannotTell, match="blocks are too few"):
        ratio(pairs_of([(1.0, 1.0)] * count, 1))


@pytest.mark.parametrize("of", [ratio, difference])
def test_two_deployments_have_no_interval(of) -> None:
    with pytest.raises(CannotTell, match="2 deployments are too few"):
        of(pairs_of([(1.0, 1.0)] * 40, 2))


def test_six_blocks_are_too_few_for_99_percent() -> None:
    with pytest.raises(CannotTell, match="too few for 99%"):
        ratio(pairs_of([(1.0, 1.0)] * 6, 1), level=0.99)


@pytest.mark.parametrize("broken", [0.0, -1.0, math.inf, math.nan])
def test_ratio_of_a_block_without_success_cannot_be_told(broken: float) -> None:
    for block in ((broken, 1.0), (1.0, broken)):
        with pytest.raises(CannotTell, match="a sample is"):
            ratio(pairs_of([block, *[(1.0, 1.0)] * 9]))


@settings(max_examples=40, deadline=None)
@given(many_deployments, st.floats(0.01, 100), st.sampled_from([3, 1]))
def test_ratio_does_not_change_with_the_unit_and_scales_with_its_numerator(
    values: list[tuple[float, float]], scale: float, deployments: int
) -> None:
    values = values * 2
    plain = ratio(pairs_of(values, deployments))
    both = ratio(pairs_of([(a * scale, b * scale) for a, b in values], deployments))
    first = ratio(pairs_of([(a * scale, b) for a, b in values], deployments))
    ends = (plain.estimate, plain.low, plain.high)
    assert (both.estimate, both.low, both.high) == pytest.approx(ends, rel=1e-6)
    scaled = tuple(end * scale for end in ends)
    assert (first.estimate, first.low, first.high) == pytest.approx(scaled, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(many_deployments, st.sampled_from([3, 1]))
def test_swapped_arms_have_the_inverse_ratio(
    values: list[tuple[float, float]], deployments: int
) -> None:
    values = values * 2
    plain = ratio(pairs_of(values, deployments))
    swapped = ratio(pairs_of([(b, a) for a, b in values], deployments))
    assert (1 / swapped.estimate, 1 / swapped.high, 1 / swapped.low) == pytest.approx(
        (plain.estimate, plain.low, plain.high), rel=1e-6
    )
    assert swapped.p == pytest.approx(plain.p, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(many_deployments, st.sampled_from([3, 1]))
def test_ratio_lies_within_its_interval_and_p_says_the_same(
    values: list[tuple[float, float]], deployments: int
) -> None:
    found = ratio(pairs_of(values * 2, deployments))
    assert found.low <= found.estimate <= found.high
    assert 0 <= found.p <= 1
    if abs(found.p - 0.05) > 1e-9 and found.high / found.low > 1 + 1e-9:
        assert found.undecided == (found.p > 0.05)


def test_a_sample_against_itself_shows_no_difference() -> None:
    found = ratio(pairs_of([(value, value) for value in (1.0, 2, 3, 4, 5, 6)], 3))
    assert found.undecided
    assert found.p == 1
    assert verdict(found).word == "equivalent"


def test_differences_of_parts_add_up_to_the_difference_of_the_whole() -> None:
    rng = random.Random(6)
    parts = [[(rng.gauss(9, 5), rng.gauss(9, 5)) for _ in range(20)] for _ in range(4)]
    whole = [tuple(map(sum, zip(*block, strict=True))) for block in zip(*parts, strict=True)]
    by_part = [difference(pairs_of(part)).estimate for part in parts]
    found = difference([Pair(place % 3, *both) for place, both in enumerate(whole)])
    assert math.fsum(by_part) == pytest.approx(found.estimate, abs=1e-12)
    assert found.low < found.estimate < found.high


def test_difference_is_over_deployments_and_of_one_over_blocks() -> None:
    values = [(3.0, 1.0), (4.0, 1.0), (5.0, 1.0)]
    found = difference(pairs_of(values))
    assert found.estimate == 3
    assert found.high - found.estimate == pytest.approx(4.3027 / math.sqrt(3), rel=1e-4)
    alone = difference(pairs_of(values * 4, 1))
    assert alone.estimate == 3
    assert alone.high - alone.low < found.high - found.low


def test_a_stalled_deployment_moves_the_shift_and_its_interval_little() -> None:
    rng = random.Random(5)
    calm = [Pair(place, 100 + rng.gauss(3, 1), 100) for place in range(16)]
    stalled = [*calm[:-1], Pair(15, 1_000, 100)]
    assert shift(calm).estimate == pytest.approx(3, abs=1)
    assert shift(stalled).estimate == pytest.approx(shift(calm).estimate, abs=0.3)
    assert shift(stalled).high < 5 < difference(stalled).high


def test_a_shift_of_few_deployments_has_students_interval() -> None:
    few = [Pair(place, 100 + place, 100) for place in range(3)]
    assert shift(few).estimate == pytest.approx(1)
    assert shift(few).high == pytest.approx(difference(few).high)


def test_difference_takes_what_is_zero_or_negative_but_finite() -> None:
    assert difference(pairs_of([(0.0, 1.0), (-2.0, 0.0), (0.0, 0.0)])).estimate == -1
    with pytest.raises(CannotTell, match="have no difference"):
        difference(pairs_of([(math.nan, 1.0), (1.0, 0.0), (0.0, 0.0)]))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.01, 1.05, "more"),
        (0.90, 0.99, "less"),
        (0.98, 1.02, "equivalent"),
        (1.005, 1.02, "equivalent"),  # a difference, of no consequence
        (0.98, 1.04, "inconclusive"),
        (1.0, 1.04, "inconclusive"),
        (1 / 1.03, 1.03, "equivalent"),
        (0.97, 1.0, "inconclusive"),  # 0.97 is less than 1/1.03
    ],
)
def test_verdict_is_decided_by_the_whole_interval(low: float, high: float, expected: str) -> None:
    assert verdict(known(low, high)).word == expected


def test_verdict_is_the_same_with_the_arms_swapped() -> None:
    other = {"more": "less", "less": "more"}
    ends = [0.95, 0.971, 0.98, 1.0, 1.01, 1.029, 1.05]
    for low, high in pairwise(ends):
        word = verdict(known(low, high)).word
        assert verdict(known(1 / high, 1 / low)).word == other.get(word, word)


def test_verdict_is_written_in_a_sentence() -> None:
    more = Ratio(1.04, 1.012, 1.061, pairs=24, deployments=8, p=0.01)
    assert verdict(more).sentence == "4.0 % more (95 % CI +1.2 to +6.1 %)"
    assert verdict(known(0.989, 1.024)).sentence == (
        "no difference larger than 3 % (95 % CI −1.1 to +2.4 %)"
    )
    assert verdict(known(0.96, 1.04)).sentence == (
        "inconclusive, could have seen 5.7 % (95 % CI −4.0 to +4.0 %)"
    )
    assert verdict(known(0.9, 0.95)).sentence.startswith("7.5 % less (")


def test_detectable_effect_is_larger_than_the_half_width() -> None:
    assert verdict(known(math.exp(-0.02), math.exp(0.02))).detectable == pytest.approx(0.0286)


def test_holm_adjusts_as_in_the_textbook_and_keeps_the_order() -> None:
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert list(found) == ["a", "b", "c", "d"]  # not in the order of p
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.00, 1.02, "holds"), (1.04, 1.06, "fails"), (1.02, 1.04, "cannot tell")],
)
def test_bound_is_decided_by_the_whole_interval(low: float, high: float, expected: str) -> None:
    assert holds(known(low, high), 1.03, least=False) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.5, 0.6, "holds"), (0.4, 0.49, "fails"), (0.45, 0.6, "cannot tell")],
)
def test_floor_is_decided_by_the_whole_interval(low: float, high: float, expected: str) -> None:
    assert holds(known(low, high), 0.5, least=True) == expected


def test_a_bound_of_what_has_no_ratio_cannot_be_told() -> None:
    assert holds(None, 0.5, least=True) == "cannot tell"


def test_one_failure_decides_the_exit_code_before_what_is_open() -> None:
    assert exit_code("holds", "cannot tell", "fails") == 1
    assert exit_code("holds", "cannot tell") == 2
    assert exit_code("holds") == 0


def test_arms_are_paired_by_block_whatever_their_order() -> None:
    keys = [(deployment, block) for deployment in range(3) for block in range(2)]
    first = [Sample(*key, 200.0 + sum(key)) for key in keys]
    second = [Sample(*key, 100.0 + sum(key) / 2) for key in reversed(keys)]
    assert paired(first, second, "rate").estimate == pytest.approx(2)
    assert paired(first, second[:5], "rate").pairs == 5
    assert paired(first, second, lambda sample: 1 / sample.rate).estimate == pytest.approx(0.5)


def test_windows_of_a_block_are_taken_by_their_geometric_mean_or_another() -> None:
    first = [Sample(0, 0, 1.0), Sample(0, 0, 4.0)]
    second = [Sample(0, 0, 1.0)]
    assert blocks(first, second, "rate")[0].first == pytest.approx(2)
    assert blocks(first, second, "rate", mean=statistics.fmean)[0].first == 2.5


def test_arms_without_a_common_block_cannot_be_told() -> None:
    with pytest.raises(CannotTell, match="1 blocks of one arm, 2 of the other"):
        paired([Sample(0, 0, 1.0)], [Sample(0, 1, 1.0), Sample(1, 0, 1.0)], "rate")


def test_a_block_without_success_cannot_be_told() -> None:
    with pytest.raises(CannotTell, match="a sample is 0"):
        paired([Sample(0, 0, 0.0)], [Sample(0, 0, 1.0)], "rate")


def test_a_ratio_is_written_as_a_change() -> None:
    found = Ratio(1.25, 1.0, 2.0, pairs=10, deployments=1, p=1.0)
    assert found.undecided
    assert found.percent == "+25.0% (+0.0% to +100.0%)"


def test_kept_windows_of_both_worlds_give_the_ratio_that_was_found_by_hand() -> None:
    kept = json.loads((ROOT / "bench/results/20261126T020922Z-turns.json").read_text())
    turns = kept["result"]["turns"]

    def arm(*ways: str) -> list[Sample]:
        return [
            Sample(1, turn["round"], turn["window"]["answered"] / turn["window"]["seconds"])
            for turn in turns
            if turn["way"] in ways
        ]

    found = paired(arm("docker"), arm("namespaces", "namespaces too"), "rate")
    assert found.percent == "−6.5% (−7.9% to −5.2%)"
    assert (found.pairs, found.deployments) == (60, 1)
    itself = paired(arm("namespaces too"), arm("namespaces"), "rate")
    assert verdict(itself).word == "equivalent"

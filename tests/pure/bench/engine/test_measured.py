"""Ratios, verdict and ledger of what was measured."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import fmean, stdev

import pytest

from bench.engine.arm import CPU, PARTS, RATE, Contrast, Window
from bench.engine.measured import levelled
from bench.engine.result import fields, speed_line
from tests.support.bench_fakes import measured, window

COST = Contrast("docker", "namespaces")
ARMS = {"namespaces": 4_000, "docker": 3_800}


def test_what_costs_more_per_request_is_told_as_more() -> None:
    verdict = measured(ARMS, [COST]).verdict
    assert verdict.word == "more"
    assert verdict.ratio.estimate == pytest.approx(4_000 / 3_800, abs=0.01)


def test_arms_that_are_alike_are_told_as_equivalent() -> None:
    assert measured({"namespaces": 4_000, "docker": 4_000}, [COST]).verdict.word == "equivalent"


def test_the_parts_of_the_ledger_add_up_to_all_of_it() -> None:
    ledger = measured(ARMS, [COST]).ledger(COST)
    assert set(ledger) == {*PARTS, "all"}
    parts = sum(ledger[part].estimate for part in PARTS)
    assert parts == pytest.approx(ledger["all"].estimate)
    assert ledger["all"].estimate == pytest.approx(400e3 / 3_800 - 400e3 / 4_000, abs=1)


def test_ratios_besides_the_question_are_adjusted() -> None:
    other = Contrast("docker :8088", "docker")
    ended = measured({**ARMS, "docker :8088": 3_700}, [COST, other])
    assert ended.adjusted[COST, "cpu"] == ended.ratios[COST, "cpu"].p
    assert ended.adjusted[other, "cpu"] > ended.ratios[other, "cpu"].p


def windows(cost: float, deployments: int = 9, blocks: int = 3, seed: int = 1) -> list[Window]:
    """Give windows on a machine whose speed wanders by 10 %; docker costs a factor more."""
    rng = random.Random(seed)
    made = []
    for number in range(1, deployments * blocks + 1):
        for arm in ("namespaces", "docker", "docker", "namespaces"):
            slow = rng.gauss(0, 0.1)
            us = 100 * math.exp(slow + rng.gauss(0, 0.02)) * (cost if arm == "docker" else 1)
            done = round(4_000 * 100 / us)
            parts = {"services": us * done * 0.8, "client": us * done * 0.2}
            made.append(
                window(
                    arm,
                    (number - 1) // blocks + 1,
                    number,
                    done=done,
                    parts_us=parts,
                    rest_us={},
                    work_us=300 * math.exp(slow + rng.gauss(0, 0.01)),
                )
            )
    return made


def of_arm(made: Sequence[Window], arm: str) -> list[Window]:
    return [window for window in made if window.arm == arm]


def test_windows_at_one_speed_differ_less() -> None:
    made = windows(1.0)
    for quantity in (CPU, RATE):
        at_mean_speed = levelled(made, quantity.of, ratios=True)
        raw, level = ([math.log(of(each)) for each in made] for of in (quantity.of, at_mean_speed))
        assert stdev(level) < stdev(raw) / 3


def test_what_an_arm_costs_is_left_in() -> None:
    made = windows(1.05)
    value = levelled(made, CPU.of, ratios=True)
    docker, net = (fmean(map(value, of_arm(made, arm))) for arm in ("docker", "namespaces"))
    assert docker / net == pytest.approx(1.05, abs=0.01)


def test_intervals_become_narrower_by_it_and_stay_right() -> None:
    narrow = right = 0
    for seed in range(40):
        ended = measured({}, [COST], windows=tuple(windows(1.05, seed=seed)))
        ratio, raw = ended.ratio(COST, CPU), ended.as_measured(COST, CPU)
        narrow += ratio.half_width < raw.half_width / 2
        right += ratio.low <= 1.05 <= ratio.high
    assert narrow >= 36
    assert right >= 35


def test_parts_at_one_speed_add_up() -> None:
    ended = measured({}, [COST], windows=tuple(windows(1.05)))
    ledger = ended.ledger(COST)
    parts = sum(ledger[part].estimate for part in PARTS)
    assert parts == pytest.approx(ledger["all"].estimate)
    assert ledger["all"].estimate == pytest.approx(5, abs=1)


def test_windows_without_a_probe_and_few_ones_stay_as_they_are() -> None:
    made = windows(1.0)
    few = made[:8]
    assert levelled(few, CPU.of, ratios=True) is CPU.of
    without = [window("docker") for _ in range(20)]
    assert levelled(without, CPU.of, ratios=True) is CPU.of


def test_a_speed_that_moves_nothing_changes_nothing() -> None:
    made = [window("docker", work_us=300.0 + number) for number in range(20)]
    value = levelled(made, CPU.of, ratios=True)
    assert [value(each) for each in made] == pytest.approx([CPU.of(each) for each in made])


def test_the_speed_that_was_taken_out_is_said() -> None:
    ended = measured({}, [COST], windows=tuple(windows(1.05)))
    said = speed_line(ended)
    assert "took ±11% of CPU time" in said
    assert ended.as_measured(COST, CPU).percent in said
    assert "as_measured" in fields(ended)["contrasts"][0]
    assert speed_line(measured({"namespaces": 4_000, "docker": 4_000}, [COST])) == ""

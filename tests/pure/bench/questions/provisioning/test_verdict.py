"""A race is judged by the whole interval of its ratios."""

from __future__ import annotations

import json
import random

import pytest

from bench.questions.provisioning import verdict
from bench.questions.provisioning.contenders import FLOOR, OURS, SHELL
from bench.questions.provisioning.verdict import Aim, RaceSample
from tests.support.project import ROOT


def figures(time: float) -> dict[str, float]:
    return {"total": time, "cpu": time}


def _samples(name: str, size: int, times: list[float]) -> list[RaceSample]:
    return [
        RaceSample(name, size, number, figures(time), figures(time), time)
        for number, time in enumerate(times)
    ]


def _judged(ours: float, other: float, aim: Aim, rounds: int = 10, noise: float = 0.02):
    chance = random.Random(1)

    def around(value: float) -> list[float]:
        return [value * (1 + chance.uniform(-noise, noise)) for _ in range(rounds)]

    samples = [*_samples(*aim.first, around(ours)), *_samples(*aim.second, around(other))]
    return verdict.judge(samples, [aim])[0]


AT_MOST = Aim("up", (OURS, 100), (FLOOR, 100), "up", 1.5)
AT_LEAST = Aim("up", (SHELL, 100), (OURS, 100), "up", 15, least=True)


@pytest.mark.parametrize(
    ("aim", "first", "second", "expected"),
    [
        (AT_MOST, 140, 100, "holds"),
        (AT_MOST, 160, 100, "fails"),
        (AT_MOST, 150, 100, "cannot tell"),
        (AT_LEAST, 1600, 100, "holds"),
        (AT_LEAST, 1400, 100, "fails"),
        (AT_LEAST, 1500, 100, "cannot tell"),
    ],
)
def test_only_the_whole_interval_decides(aim, first, second, expected):
    assert _judged(first, second, aim).judgement == expected


def test_three_rounds_have_a_wide_interval_and_two_none():
    pair = [*_samples(SHELL, 100, [1600, 1700, 1400]), *_samples(OURS, 100, [100] * 3)]

    three = verdict.judge(pair, [AT_LEAST])[0]
    two = verdict.judge([run for run in pair if run.round < 2], [AT_LEAST])[0]

    assert (three.rounds, three.judgement) == (3, "cannot tell")
    assert three.ratio
    assert three.ratio.low < 14 < 17 < three.ratio.high
    assert (two.rounds, two.ratio, two.judgement) == (2, None, "cannot tell")
    assert "too few rounds" in verdict.table(pair, [two], {})


def test_times_of_two_sizes_are_compared_by_the_namespace():
    aim = Aim("up", (OURS, 1000), (OURS, 100), "up", 1.3)

    assert _judged(1200, 100, aim).ratio.estimate == pytest.approx(1.2, rel=0.05)


def test_what_was_not_measured_is_not_judged():
    aims = verdict.aims((8, 100))

    assert verdict.judge(_samples(OURS, 100, [1.0] * 6), aims) == ()


def test_the_check_passes_only_when_every_aim_is_reached():
    good, open_, bad = (_judged(value, 100, AT_MOST) for value in (140, 150, 160))

    assert [verdict.code(results) for results in ([good], [good, open_], [open_, bad], [])] == [
        0,
        2,
        1,
        2,
    ]


def test_the_table_is_eighty_columns_wide_and_says_what_was_left_out():
    samples = [
        sample
        for name, base in ((OURS, 1.4), (FLOOR, 1.0), (SHELL, 45.0))
        for size in (100, 1000)
        for sample in _samples(name, size, [base * size] * 6)
    ]
    verdicts = verdict.judge(samples, verdict.aims((100, 1000)))

    text = verdict.table(samples, verdicts, {"mininet": "there is no network " * 6})

    assert max(map(len, text.splitlines())) <= 80
    assert "Left out: mininet" in text
    assert [line.split()[:3] for line in text.splitlines()[1:4]] == [
        ["100", "floor", "6"],
        ["100", "twinstack", "6"],
        ["100", "shell", "6"],
    ]
    assert "twinstack down: cpu 1400" in text
    assert "holds" in text


def test_a_kept_race_is_judged_as_it_was():
    kept = json.loads((ROOT / "bench/results/20261125T205024Z-scale.json").read_text())["result"]
    samples = [RaceSample(**sample) for sample in kept["samples"]]

    results = verdict.judge(samples, verdict.aims((8, 100, 1000)))

    assert [of.judgement for of in results] == [of["judgement"] for of in kept["verdicts"]]
    for now, then in zip(results, kept["verdicts"], strict=True):
        assert now.ratio
        assert now.ratio.estimate == pytest.approx(then["estimate"], rel=0.05)

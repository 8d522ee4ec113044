"""What a dashboard costs is judged by the worse end, and its rates against those that were sent."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bench.engine.windows import Window
from bench.load.wrk import WrkReport
from bench.questions import dashboard
from bench.questions.catalogue import Answer
from bench.questions.dashboard import NOBODY, SHOWN, WATCHED, Agreement, AtRest, Cost, Trial
from tests.support.bench_fakes import PLAN

NEAR = Agreement(4_000.0, 4_120.0, 40_000, 40_000)
SENT = WrkReport(36_000, 0, 0, 9.0, 36_000_000, 4.0, 20.0)


def measured(
    watched: float, shown: float, *agreements: Agreement, rounds: int = 12, load: WrkReport = SENT
) -> Cost:
    chance = random.Random(1)
    trials = []
    for number in range(rounds):
        drift = chance.uniform(0.8, 1.2)  # a round is quick or slow as a whole
        for what, part in ((NOBODY, 1.0), (WATCHED, watched), (SHOWN, shown)):
            rate = 4_000 * drift * part * chance.uniform(0.999, 1.001)
            trials.append(Trial(number, what, Window(1_000 / rate, 1_000, 400_000, 900_000)))
    rest = [AtRest(NOBODY, 9_900.0, 0.0, 0.0), AtRest(WATCHED, 15_000.0, 5_000.0, 0.0)]
    return dashboard.summarise(rest, trials, load, agreements or (NEAR,), seed=1)


@pytest.mark.parametrize(("watched", "verdict", "code"), [(0.995, "holds", 0), (0.90, "fails", 1)])
def test_the_cost_is_judged_by_the_worse_end(watched: float, verdict: str, code: int):
    found = measured(watched, 0.9)
    assert found.holds(WATCHED) == verdict
    assert dashboard.code(Answer("dashboard-net", PLAN, found, "")) == code
    assert f"below 3%: {verdict}" in dashboard.table(found)


def test_a_browser_on_the_same_cores_is_told_apart():
    text = dashboard.table(measured(0.995, 0.80))
    assert "With the dashboard the edge carries +0.5% fewer requests" in text
    assert (
        "With Chromium showing it as well the edge carries +20.0% fewer requests"
        in text.replace("\n", " ")
    )
    assert max(len(line) for line in text.splitlines()) <= 80


@pytest.mark.parametrize(
    "wrong",
    [
        Agreement(4_000.0, 4_201.0, 40_000, 40_000),
        Agreement(4_000.0, 3_799.0, 40_000, 40_000),
        Agreement(4_000.0, 4_000.0, 40_000, 39_999),
    ],
)
def test_a_rate_too_far_off_or_a_request_not_counted_fails(wrong: Agreement):
    assert measured(0.995, 0.9).agrees
    found = measured(0.995, 0.9, NEAR, wrong)
    assert not found.agrees
    assert dashboard.code(Answer("dashboard-net", PLAN, found, "")) == 1


def test_a_request_that_failed_under_the_load_fails_the_whole():
    lost = measured(0.995, 0.9, load=replace(SENT, lost=1))
    assert dashboard.code(Answer("dashboard-net", PLAN, lost, "")) == 1
    assert ", 1 failed; p99" in dashboard.table(lost)


@pytest.mark.parametrize(
    ("counted", "agrees"), [(39_999, False), (40_000, True), (40_016, True), (40_017, False)]
)
def test_the_engines_own_probes_may_have_come_between(counted: int, agrees: bool):
    found = measured(0.995, 0.9, Agreement(4_000.0, 4_000.0, 40_000, counted, probes=16))
    assert found.agrees == agrees
    text = dashboard.table(found)
    assert "of 40,000, with at most 16 probes of the engine's." in text.replace("\n", " ")
    assert max(map(len, text.splitlines())) <= 80

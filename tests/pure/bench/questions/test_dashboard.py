"""What a dashboard costs is judged by the worse end, and its rates by those that were sent."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bench.engine.windows import Window
from bench.load.wrk import WrkReport
from bench.questions import dashboard
from bench.questions.dashboard import (
    NOBODY,
    SHOWN,
    WATCHED,
    Agreement,
    AtRest,
    DashboardCost,
    WatchedWindow,
)

NEAR = Agreement(4_000.0, 4_120.0, 40_000, 40_000)
SENT = WrkReport(36_000, 0, 0, 9.0, 36_000_000, 4.0, 20.0)


def measured(
    watched: float, shown: float, *agreements: Agreement, rounds: int = 12, load: WrkReport = SENT
) -> DashboardCost:
    rng = random.Random(1)
    trials = []
    for number in range(rounds):
        drift = rng.uniform(0.8, 1.2)  # a round is quick or slow as a whole
        for what, part in ((NOBODY, 1.0), (WATCHED, watched), (SHOWN, shown)):
            rate = 4_000 * drift * part * rng.uniform(0.999, 1.001)
            window = Window(1_000 / rate, 1_000, 400_000, 900_000, client_us=50_000)
            trials.append(WatchedWindow(number, what, window))
    rest = [AtRest(NOBODY, 9_900.0, 0.0, 0.0), AtRest(WATCHED, 15_000.0, 5_000.0, 0.0)]
    return dashboard.summarise(rest, trials, load, agreements or (NEAR,), seed=1)


@pytest.mark.parametrize(("watched", "verdict", "code"), [(0.995, "holds", 0), (0.90, "fails", 1)])
def test_the_cost_is_judged_by_the_worse_end(watched: float, verdict: str, code: int):
    cost = measured(watched, 0.9)
    assert cost.holds(WATCHED) == verdict
    assert cost.code == code
    assert f"below 3%: {verdict}" in dashboard.table(cost)


def test_a_browser_on_the_same_cores_is_shown_apart():
    text = dashboard.table(measured(0.995, 0.80))
    flowing = text.replace("\n", " ")
    assert "With the dashboard the edge answers 0.5% (95 % interval 0." in flowing
    assert "With Chromium showing it as well the edge answers 20.0% (95 % interval" in flowing
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
    cost = measured(0.995, 0.9, NEAR, wrong)
    assert not cost.agrees
    assert cost.code == 1


def test_a_request_that_failed_under_the_load_fails_the_whole():
    lost = measured(0.995, 0.9, load=replace(SENT, lost=1))
    assert lost.code == 1
    assert ", 1 failed; p99" in dashboard.table(lost)


@pytest.mark.parametrize(
    ("counted", "agrees"), [(39_999, False), (40_000, True), (40_016, True), (40_017, False)]
)
def test_the_engines_own_probes_may_have_come_between(counted: int, agrees: bool):
    cost = measured(0.995, 0.9, Agreement(4_000.0, 4_000.0, 40_000, counted, probes=16))
    assert cost.agrees == agrees
    text = dashboard.table(cost)
    assert "of 40,000, with at most 16 probes of the engine's." in text.replace("\n", " ")
    assert max(map(len, text.splitlines())) <= 80

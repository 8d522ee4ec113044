"""What capturing costs is estimated from paired rounds, and the worse end decides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.engine.estimate import Ratio
from bench.questions.capture import (
    ARMS,
    BRIDGES,
    OFF,
    WHOLE,
    CaptureCost,
    CaptureTrial,
    summarise,
    table,
)
from tests.support.bench_fakes import sampled


def cost(slower: float) -> CaptureCost:
    trials = []
    for number in range(8):
        for what in ARMS:
            factor = {OFF: 1.0, WHOLE: slower * 1.5}.get(what, slower)
            costs = {"cpu_us": 5_000_000, "host_us": round(9_000_000 * factor)}
            fields = sampled(number, (900.0 + number) / factor, p99_ms=90.0, **costs)
            counts = {"capture_us": 400_000, "packets": 1_200_000, "dropped": 7}
            trials.append(CaptureTrial(what=what, **counts, **fields))
    return summarise(trials, links=19, seed=1)


def sentence(captured: CaptureCost, what: str) -> str:
    return next(line for line in captured.sentences if line.startswith(what))


def test_a_small_cost_holds_and_a_large_one_fails():
    small, large = cost(1.02), cost(1.3)
    assert abs(small.rates[BRIDGES].estimate - 1.02) < 1e-9
    assert abs(small.work[WHOLE].estimate - 1.53) < 1e-3
    assert "costs 2.0% (95 % interval 2.0% to 2.0%) of req/s" in sentence(small, BRIDGES)
    assert "less than 10%: holds" in sentence(small, BRIDGES)
    assert "less than 10%: fails" in sentence(large, BRIDGES)


@pytest.mark.parametrize(("factor", "verdict"), [(1.02, "holds"), (1.3, "fails")])
def test_the_bridges_decide(factor: float, verdict: str):
    assert cost(factor).holds == verdict


def test_an_open_interval_decides_nothing():
    undecided = replace(cost(1.02), rates={BRIDGES: Ratio(1.05, 0.98, 1.2, 20)})
    assert undecided.holds == "cannot tell"


def test_whole_packets_are_shown_and_not_judged():
    assert "costs 48.7%" in sentence(cost(1.3), WHOLE)
    assert "less than" not in sentence(cost(1.3), WHOLE)


def test_the_captures_own_cpu_time_is_part_of_the_cost():
    assert cost(1.0).cpu[BRIDGES].estimate == 1.0
    assert cost(1.0).samples[0].cpu_us_per_request == 5_400


def test_the_table_fits_80_columns():
    assert max(map(len, table(cost(1.02)).splitlines())) <= 80

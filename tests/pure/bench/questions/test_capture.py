"""What capturing costs is told from paired rounds, and the worst end decides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.engine.estimate import Ratio
from bench.questions import capture
from bench.questions.capture import BRIDGES, OFF, WHATS, WHOLE, Cost, CostSample, summarise, table
from bench.questions.catalogue import Answer
from tests.support.bench_fakes import PLAN


def cost(slower: float) -> Cost:
    found = []
    for number in range(8):
        for what in WHATS:
            factor = {OFF: 1.0, WHOLE: slower * 1.5}.get(what, slower)
            found.append(
                CostSample(
                    number,
                    what,
                    1000,
                    1000,
                    (900.0 + number) / factor,
                    90.0,
                    5_000_000,
                    round(9_000_000 * factor),
                    400_000,
                    1_200_000,
                    7,
                )
            )
    return summarise(found, links=19, seed=1)


def test_a_small_cost_holds_and_a_large_one_fails():
    small, large = cost(1.02), cost(1.3)
    assert abs(small.rates[BRIDGES].estimate - 1.02) < 1e-9
    assert abs(small.work[WHOLE].estimate - 1.53) < 1e-3
    (said,) = [one for one in small.sentences if one.startswith(BRIDGES)]
    assert "costs 2.0% of req/s" in said
    assert "less than 10%: holds" in said
    (said,) = [one for one in large.sentences if one.startswith(BRIDGES)]
    assert "less than 10%: fails" in said


@pytest.mark.parametrize(("factor", "code"), [(1.02, 0), (1.3, 1)])
def test_the_verdict_is_the_exit_code(factor: float, code: int):
    assert capture.code(Answer("capture-net", PLAN, cost(factor), "")) == code


def test_what_is_left_open_is_an_exit_code_of_its_own():
    undecided = replace(cost(1.02), rates={BRIDGES: Ratio(1.05, 0.98, 1.2, 20)})
    assert capture.code(Answer("capture-net", PLAN, undecided, "")) == 2


def test_whole_packets_are_told_and_not_judged():
    (said,) = [one for one in cost(1.3).sentences if one.startswith(WHOLE)]
    assert "costs 48.7% of req/s" in said
    assert "less than" not in said


def test_the_table_fits_80_columns():
    assert max(map(len, table(cost(1.02)).splitlines())) <= 80

"""Ratios, verdict and ledger of what was measured."""

from __future__ import annotations

import pytest

from bench.engine.arm import PARTS, Contrast
from tests.support.bench_fakes import measured

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

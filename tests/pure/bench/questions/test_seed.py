"""The seed's gap is taken from arms that differ in the seed's causes alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest

from bench.engine.arm import RATE, Contrast, Window
from bench.questions import seed
from bench.questions.seed import CAUSES, CONNECTIONS, ENTRY, QUOTA, SERVERS
from bench.questions.shapley import LEFT, NONE, WHOLE, cells, shared
from tests.support.bench_fakes import FakeWorld, measured, window

ALL = frozenset(CAUSES)
#: The rate of namespaces by what they share with Docker.
RATES = {
    NONE: 2_000,
    frozenset({SERVERS}): 60,
    frozenset({CONNECTIONS}): 1_500,
    frozenset({SERVERS, CONNECTIONS}): 54,
}


def windows(deployments: Iterable[int] = (1, 2, 3)) -> tuple[Window, ...]:
    """Give a seed in which a quota halves the rate, and nothing else costs anything."""
    made = []
    for deployment in deployments:
        for cell in cells(CAUSES):
            rate = RATES[cell & {SERVERS, CONNECTIONS}]
            slower = rate / 2 if QUOTA in cell else rate
            docker = seed.name("docker", cell)
            made.append(window(docker, deployment, deployment, done=round(slower * 2)))
        for cell, rate in RATES.items():
            net = seed.name("net", cell)
            made.append(window(net, deployment, deployment, done=rate * 2))
    return tuple(made)


def test_arms_are_named_by_letters_of_their_causes() -> None:
    assert seed.name("docker", ALL) == "docker sqpc"
    assert seed.name("net", frozenset({SERVERS, CONNECTIONS})) == "net s--c"
    assert len({seed.name("docker", cell) for cell in cells(CAUSES)}) == 16


def test_the_gap_is_between_arms_of_the_same_servers_and_connections() -> None:
    looks = list(seed.looks(windows()))
    assert [deployment for deployment, _ in looks] == [1, 2, 3]
    assert looks[0][1][ALL] == pytest.approx(math.log(2))
    assert looks[0][1][frozenset({SERVERS, ENTRY})] == pytest.approx(0)


def test_the_cause_that_makes_the_gap_has_all_of_it() -> None:
    found = shared(CAUSES, list(seed.looks(windows())))
    assert found[QUOTA].estimate == pytest.approx(math.log(2))
    assert found[ENTRY].estimate == pytest.approx(0, abs=1e-9)


def test_a_block_that_was_cut_short_is_left_out() -> None:
    assert len(list(seed.looks(windows()[:-30]))) == 1


def test_the_outcome_has_the_way_the_verdict_and_what_was_not_taken_away() -> None:
    left = Contrast(seed.name("net", NONE), seed.name("docker", NONE))
    ended = measured({}, [left], windows=windows(), quantities=(RATE,))
    world: Any = FakeWorld("net", 1)
    asked = seed.outcome(ended, world)
    assert "×2.00 [2.00, 2.00]" in asked.text
    assert "Not taken away" in asked.text
    assert max(map(len, asked.text.splitlines())) <= 80
    assert asked.fields["shares"].keys() == {WHOLE, *CAUSES, LEFT}  # type: ignore[attr-defined]
    assert asked.fields["said"] == asked.text.splitlines()

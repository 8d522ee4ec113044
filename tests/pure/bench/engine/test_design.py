"""Blocks go forth and back, by the seed; an experiment ends when narrow, never by what it shows."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.engine.design import Design, order, require_load, stop
from bench.load.ab import AbLoad
from twinstack.errors import TwinstackError

ARMS = ("namespaces", "docker", "docker :8088")


@given(seed=st.integers(0, 2**32))
def test_each_block_is_a_palindrome_of_all_arms(seed: int) -> None:
    for block in islice(order(ARMS, seed), 5):
        assert block == block[::-1]
        assert sorted(block) == sorted(ARMS * 2)


def test_order_is_the_seeds() -> None:
    assert list(islice(order(ARMS, 7), 9)) == list(islice(order(ARMS, 7), 9))
    assert len({next(order(ARMS, seed)) for seed in range(50)}) == 6


NARROW, WIDE = {"cpu": 0.019, "rate": 0.029}, {"cpu": 0.019, "rate": 0.031}


@pytest.mark.parametrize(
    ("deployments", "elapsed_s", "half_widths", "expected"),
    [
        (2, 9_999.0, {}, None),  # no interval yet: it goes on, though late
        (3, 9_999.0, WIDE, "out of time"),
        (6, 226.0, NARROW, "precise"),
        (6, 224.0, NARROW, None),  # looked at too often, some interval is narrow by chance
        (5, 226.0, NARROW, None),
        (6, 226.0, WIDE, None),
        (6, 226.0, {}, None),
        (5, 249.0, WIDE, None),  # a sixth ends in time
        (5, 251.0, WIDE, "out of time"),
    ],
)
def test_it_ends_when_narrow_or_when_another_deployment_would_be_late(
    deployments: int, elapsed_s: float, half_widths: dict[str, float], expected: str | None
) -> None:
    how = Design(minutes=5, least=6, narrow={"cpu": 0.02, "rate": 0.03})
    assert stop(how, deployments, elapsed_s, half_widths) == expected


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (AbLoad("/", 49, 50), "--requests: cannot be 49: 50 at once need as many"),
        (AbLoad("/", 0, 1), "--requests: cannot be 0"),
        (AbLoad("/", 9, 0), "--concurrency: cannot be 0"),
        (AbLoad("x", 9, 1), "--path: cannot be x; begin it with /"),
    ],
)
def test_loads_that_cannot_be_are_refused(load: AbLoad, expected: str) -> None:
    with pytest.raises(TwinstackError, match=expected):
        require_load(load)


@pytest.mark.parametrize("minutes", [0, -1, 241])
def test_a_time_that_cannot_be_is_refused(minutes: float) -> None:
    with pytest.raises(TwinstackError, match="--minutes: cannot be"):
        Design(minutes)


def test_a_load_and_a_time_that_can_be_are_accepted() -> None:
    require_load(AbLoad("/", 50, 50))
    Design()


@pytest.mark.parametrize(
    ("minutes", "seconds", "blocks"), [(0.05, 0.3, 1), (1.0, 2.0, 1), (5.0, 2.0, 2), (15.0, 2.0, 2)]
)
def test_a_short_time_is_laid_out_in_more_deployments(
    minutes: float, seconds: float, blocks: int
) -> None:
    how = Design.within(minutes, 7)
    assert (how.minutes, how.seconds, how.blocks, how.seed) == (minutes, seconds, blocks, 7)
    assert how.run_s == how.seconds


@pytest.mark.parametrize(("minutes", "runs"), [(1.0, 3), (5.0, 5)])
def test_where_arms_take_turns_a_window_is_made_of_short_runs(minutes: float, runs: int) -> None:
    how = Design.within(minutes, 7).taking_turns()
    assert (how.runs, how.run_s, how.blocks, how.seed) == (runs, 0.4, 1, 7)
    assert how.seconds == pytest.approx(runs * 0.4)

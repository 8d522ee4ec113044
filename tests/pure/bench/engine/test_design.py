"""Trials are interleaved, balanced and repeatable; what cannot be measured is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.engine.design import interleave, require_load, require_rounds, schedule
from bench.engine.trials import Trial
from bench.load.ab import AbLoad
from tests.support.bench_fakes import sampled
from twinstack.errors import TwinstackError

PAIR = ("namespaces", "docker")


def order(rounds: int = 10, seed: int = 1) -> tuple[tuple[str, ...], ...]:
    return schedule(PAIR, ("net :8080", "docker :3000"), rounds=rounds, others_every=3, seed=seed)


@given(rounds=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_every_round_holds_both_worlds_once(rounds: int, seed: int) -> None:
    rows = order(rounds, seed)
    assert len(rows) == rounds
    assert all(names.count("docker") == names.count("namespaces") == 1 for names in rows)


@given(rounds=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_each_world_goes_first_equally_often(rounds: int, seed: int) -> None:
    firsts = sum(names.index("namespaces") < names.index("docker") for names in order(rounds, seed))
    assert abs(2 * firsts - rounds) <= 1


def test_published_ports_are_in_every_third_round() -> None:
    assert [len(names) for names in order()] == [4, 2, 2, 4, 2, 2, 4, 2, 2, 4]


def test_order_is_the_seed_s() -> None:
    assert order(seed=7) == order(seed=7)
    assert len({order(seed=seed) for seed in range(20)}) > 10


def test_one_target_alone_is_in_every_round() -> None:
    assert schedule(("only",), (), rounds=3, others_every=1, seed=1) == (("only",),) * 3


def test_arms_are_warmed_up_and_then_measured_once_a_round() -> None:
    lines: list[str] = []
    samples = interleave(
        PAIR,
        lambda what, number: Trial(what=what, **sampled(number)),
        3,
        1,
        lines.append,
        others=["net :8080"],
        others_every=2,
    )
    assert [sample.round for sample in samples] == [1, 1, 1, 2, 2, 3, 3, 3]
    assert lines[:3] == ["warm-up: namespaces", "warm-up: docker", "warm-up: net :8080"]
    assert lines[-1].startswith("round 3/3: ")
    assert "docker 4,000/s" in lines[-1]


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (lambda: require_rounds(5), "--rounds: cannot be 5: an interval needs 6 rounds at least"),
        (lambda: require_rounds(1_001), "--rounds: cannot be 1001: it is 6 to 1000"),
        (
            lambda: require_load(AbLoad("/", 49, 50)),
            "--requests: cannot be 49: 50 at once need as many",
        ),
        (lambda: require_load(AbLoad("/", 0, 1)), "--requests: cannot be 0"),
        (lambda: require_load(AbLoad("/", 9, 0)), "--concurrency: cannot be 0"),
    ],
)
def test_rounds_and_loads_that_cannot_be_are_refused(
    check: Callable[[], None], expected: str
) -> None:
    with pytest.raises(TwinstackError, match=expected):
        check()


def test_the_least_rounds_and_load_are_accepted() -> None:
    require_rounds(6)
    require_load(AbLoad("/", 50, 50))

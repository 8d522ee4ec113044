"""Whose turn it is, who is passed over, and who comes back."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from services.api_gateway.client import Upstream
from services.api_gateway.connection import Broken, ConnectFailed, Slow, TimedOut
from services.api_gateway.rotation import Rotation
from services.api_gateway.standing import EJECTED_S, RAMP_S, STRIKES_OUT, Rank
from services.common.logs import Log

FOUND = [("p-1", "10.0.0.30", 5000), ("p-2", "10.0.0.31", 5000), ("p-3", "10.0.0.32", 5000)]


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rotation(clock: Clock) -> Rotation:
    return of(3, clock)


def of(count: int, clock: Clock) -> Rotation:
    rotation = Rotation(Log("api-gateway", "api-gateway", fd=-1), clock, Random(7).random)
    rotation.update([(f"p-{n}", "10.0.0.30", n) for n in range(1, count + 1)])
    return rotation


def picked(rotation: Rotation, times: int = 300) -> Counter[str]:
    upstreams = [rotation.pick() for _ in range(times)]
    return Counter(upstream.name for upstream in upstreams if upstream)


def out(rotation: Rotation, *places: int) -> list[str]:
    """Fail each of these instances as often as an outlier does, then name those that are out."""
    for place in places:
        for _ in range(STRIKES_OUT):
            rotation.failed(rotation.upstreams[place], 500)
    return [u.name for u in rotation.upstreams if u.standing.rank is not Rank.WELL]


def test_instances_take_turns_evenly(rotation: Rotation) -> None:
    assert picked(rotation) == {"p-1": 100, "p-2": 100, "p-3": 100}


def test_an_unreachable_instance_is_passed_over_at_once_and_the_others_stay_even(rotation):
    rotation.failed(rotation.upstreams[0], ConnectFailed("connection refused"))
    assert picked(rotation) == {"p-2": 150, "p-3": 150}
    assert rotation.live() == 2


def test_an_instance_that_says_it_is_ill_is_passed_over_while_another_is_well(rotation):
    rotation.out(rotation.upstreams[0], Rank.ILL, "status 503")
    rotation.out(rotation.upstreams[1], Rank.ILL, "status 503")
    assert picked(rotation) == {"p-3": 300}
    assert rotation.live() == 3


def test_when_all_are_ill_they_take_turns_and_the_unreachable_is_passed_over(rotation):
    for upstream in rotation.upstreams:
        rotation.out(upstream, Rank.ILL, "status 503")
    assert picked(rotation) == {"p-1": 100, "p-2": 100, "p-3": 100}
    rotation.out(rotation.upstreams[1], Rank.UNREACHABLE, "no answer")
    assert picked(rotation) == {"p-1": 150, "p-3": 150}


def test_when_all_are_unreachable_they_are_tried_all_the_same(rotation):
    for upstream in rotation.upstreams:
        rotation.failed(upstream, ConnectFailed("connection refused"))
    assert rotation.live() == 0
    assert picked(rotation) == {"p-1": 100, "p-2": 100, "p-3": 100}


def test_nobody_is_picked_twice_for_one_request(rotation: Rotation) -> None:
    tried: list[Upstream] = []
    while (upstream := rotation.pick(tried)) is not None:
        tried.append(upstream)
    assert sorted(upstream.name for upstream in tried) == ["p-1", "p-2", "p-3"]


def test_nobody_is_known_at_first(clock: Clock) -> None:
    assert of(0, clock).pick() is None


def test_failures_in_a_row_eject_an_outlier_and_a_good_answer_forgives(rotation):
    first = rotation.upstreams[0]
    for _ in range(3):
        for _ in range(STRIKES_OUT - 1):
            rotation.failed(first, 500)
        rotation.answered(first)
    assert first.standing.rank is Rank.WELL
    assert out(rotation, 0) == ["p-1"]


@pytest.mark.parametrize("error", [Slow("no answer"), TimedOut("no answer")])
def test_two_time_outs_in_a_row_are_enough(rotation, error):
    ranks = []
    for _ in range(2):
        rotation.failed(rotation.upstreams[0], error)
        ranks.append(rotation.upstreams[0].standing.rank)
    assert ranks == [Rank.WELL, Rank.ILL]


@pytest.mark.parametrize(("count", "ejected"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_at_least_half_are_never_ejected_as_outliers(clock, count, ejected):
    assert len(out(of(count, clock), *range(count))) == ejected


def test_those_that_cannot_be_reached_count_for_the_floor(rotation):
    rotation.failed(rotation.upstreams[2], ConnectFailed("connection refused"))
    assert out(rotation, 0) == ["p-3"]


def test_nobody_is_an_outlier_when_all_fail(rotation):
    for _ in range(STRIKES_OUT):
        for upstream in rotation.upstreams:
            rotation.failed(upstream, Broken("closed"))
    assert all(upstream.standing.rank is Rank.WELL for upstream in rotation.upstreams)


def test_an_outlier_stays_out_for_its_time_although_its_health_is_good(rotation, clock):
    out(rotation, 0)
    rotation.passed(rotation.upstreams[0])
    assert "p-1" not in picked(rotation)
    clock.now += EJECTED_S
    rotation.passed(rotation.upstreams[0])
    clock.now += RAMP_S
    assert picked(rotation)["p-1"] == 100


def test_one_that_comes_back_and_fails_at_once_is_out_again(rotation, clock):
    out(rotation, 0)
    clock.now += EJECTED_S
    rotation.passed(rotation.upstreams[0])
    rotation.failed(rotation.upstreams[0], 500)
    assert rotation.upstreams[0].standing.rank is Rank.ILL


def test_one_that_comes_back_gets_a_part_of_its_turns_first(rotation, clock):
    first = rotation.upstreams[0]
    rotation.out(first, Rank.ILL, "status 503")
    rotation.passed(first)
    clock.now += RAMP_S / 2
    counts = picked(rotation, 3000)
    assert 500 < counts["p-1"] < 700  # half of its turns, a fifth of all
    assert abs(counts["p-2"] - counts["p-3"]) < 200


def test_one_that_comes_back_is_taken_when_there_is_no_other(clock):
    rotation = of(1, clock)
    rotation.failed(rotation.upstreams[0], ConnectFailed("connection refused"))
    rotation.answered(rotation.upstreams[0])
    assert (rotation.live(), picked(rotation, 10)) == (1, {"p-1": 10})


def test_a_second_try_needs_another_instance_that_is_well(rotation):
    first, second, third = rotation.upstreams
    assert rotation.take_retry_besides(first)
    rotation.out(second, Rank.ILL, "status 503")
    rotation.out(third, Rank.UNREACHABLE, "no answer")
    assert not rotation.take_retry_besides(first)
    assert rotation.take_retry()


def test_an_update_keeps_the_connections_of_those_that_stay(rotation: Rotation) -> None:
    rotation.update(FOUND)
    before = list(rotation.upstreams)
    gone = rotation.update(FOUND[1:])
    assert rotation.upstreams == before[1:]
    assert gone == before[:1]


def test_an_instance_that_moved_is_another_one(rotation: Rotation) -> None:
    gone = rotation.update([("p-1", "10.0.0.99", 5000)])
    assert [upstream.host for upstream in rotation.upstreams] == ["10.0.0.99"]
    assert len(gone) == 3

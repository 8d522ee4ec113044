"""A schedule is its seed's, in rounds with a calm between them."""

from __future__ import annotations

from collections import Counter

import pytest

from twinstack.order_check.schedule import (
    CALM_S,
    FIRST_S,
    LONG_S,
    PlannedFault,
    draw,
    earlier,
    seconds,
)

TARGETS = ("a", "b", "c", "d")


def test_the_same_seed_gives_the_same_schedule_and_another_another() -> None:
    assert draw(7, TARGETS, 20) == draw(7, TARGETS, 20)
    assert draw(7, TARGETS, 20) != draw(8, TARGETS, 20)


def test_every_target_is_struck_about_equally_often_and_by_each_kind() -> None:
    strikes = draw(3, TARGETS, 100)
    times = Counter(strike.replica for strike in strikes)
    assert len(strikes) == 100
    assert max(times.values()) - min(times.values()) <= 6
    assert {strike.kind for strike in strikes} == {"kill", "sigstop"}
    assert max(strike.lasts_s for strike in strikes) <= LONG_S[1]


def test_after_each_round_nothing_is_broken_for_a_while() -> None:
    strikes = draw(5, TARGETS, 60)
    rounds = 1
    for n, strike in enumerate(strikes[1:], 1):
        over_s = max(each.ends_s for each in strikes[:n])
        if strike.at_s >= over_s:
            rounds += 1
            assert strike.at_s - over_s >= CALM_S[0] - 0.001 or strike.at_s - over_s < 0.5
    assert 30 <= rounds <= 60
    assert seconds(strikes) == max(each.ends_s for each in strikes) + CALM_S[0]


def test_no_replica_is_struck_while_it_is_struck() -> None:
    busy_until: dict[str, float] = {}
    for strike in draw(11, TARGETS, 100):
        assert strike.at_s > busy_until.get(strike.replica, 0)
        busy_until[strike.replica] = strike.ends_s


def test_one_target_is_enough() -> None:
    assert len(draw(1, ("a",), 5)) == 5


def test_a_part_of_a_schedule_begins_at_once() -> None:
    late = (PlannedFault(21.5, "kill", "a"), PlannedFault(23.0, "sigstop", "b", 1.0))
    moved = earlier(late)
    assert [each.at_s for each in moved] == [FIRST_S, FIRST_S + 1.5]
    assert str(moved[1]) == "2.50 s: sigstop b for 1.00 s"


@pytest.mark.parametrize("at_least_s", [1.0, 2000.0])
def test_a_schedule_lasts_as_long_as_its_load(at_least_s: float) -> None:
    usual = seconds(draw(1, TARGETS, 50))
    lasts = seconds(draw(1, TARGETS, 50, at_least_s=at_least_s))
    assert lasts == pytest.approx(max(usual, at_least_s), rel=0.02)

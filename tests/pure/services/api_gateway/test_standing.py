"""When an instance is out, when it is back, and with which share."""

from __future__ import annotations

from services.api_gateway.standing import (
    EJECTED_MAX_S,
    EJECTED_S,
    FORGIVEN_S,
    RAMP_S,
    SHARE_AT_FIRST,
    Rank,
    Standing,
)


def test_a_new_instance_takes_its_full_share():
    assert Standing().share(0.0) == 1.0


def test_an_instance_that_comes_back_takes_more_and_more():
    standing = Standing()
    standing.leave(Rank.UNREACHABLE)
    assert standing.share(100.0) == 0.0
    assert standing.enter(100.0)
    shares = [standing.share(100.0 + RAMP_S * part) for part in (0.0, 0.25, 0.5, 1.0, 2.0)]
    assert shares == [SHARE_AT_FIRST, 0.25, 0.5, 1.0, 1.0]
    assert not standing.enter(100.0)


def test_an_outlier_stays_out_for_its_time_and_longer_when_it_is_one_again():
    standing = Standing()
    now = 100.0
    for wait_s in (EJECTED_S, 2 * EJECTED_S, 4 * EJECTED_S):
        standing.eject(now)
        assert not standing.enter(now + wait_s - 0.1)
        assert standing.enter(now + wait_s)
        now += wait_s


def test_an_ejection_is_bounded_and_forgiven():
    standing = Standing()
    for _ in range(20):
        standing.eject(100.0)
    assert standing.out_until == 100.0 + EJECTED_MAX_S
    later = standing.out_until + FORGIVEN_S + 1
    standing.eject(later)
    assert standing.out_until == later + EJECTED_S

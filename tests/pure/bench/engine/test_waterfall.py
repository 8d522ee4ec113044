"""A waterfall's steps lead from one value to the other, and what they lack is shown."""

from __future__ import annotations

import pytest

from bench.engine.waterfall import Waterfall, draw
from twinstack.statistics.estimate import Interval

STEPS = {"nginx-lb": Interval(5.0, 4.0, 6.0), "docker-proxy": Interval(60.0, 55.0, 65.0)}
WAY = Waterfall("µs a request", ("namespaces", 400.0), STEPS, ("docker", 470.0))


def test_what_no_step_has_is_the_rest() -> None:
    assert WAY.rest == pytest.approx(5.0)
    assert WAY.named_but() == pytest.approx(1 - 5 / 70)
    assert WAY.named_but("nginx-lb") == pytest.approx(1 - 10 / 70)
    assert "  rest" in draw(WAY)
    whole = Waterfall("µs", ("a", 400.0), STEPS, ("b", 465.0))
    assert (whole.named_but(), "rest" in draw(whole)) == (1.0, False)


def test_bars_follow_each_other_and_are_as_long_as_their_steps() -> None:
    lines = draw(WAY).splitlines()
    small, large = lines[3], lines[4]
    assert large.count("▒") > 5 * small.count("▒") > 0
    assert large.index("▒") >= small.rindex("▒")
    assert len(lines[-1].rsplit("  ", 1)[-1]) > len(lines[2].rsplit("  ", 1)[-1])  # totals
    assert max(map(len, lines)) <= 80


def test_a_step_that_may_be_none_and_is_tiny_is_left_out() -> None:
    steps = {**STEPS, "supervisor": Interval(0.01, -0.1, 0.1)}
    assert "supervisor" not in draw(Waterfall("µs", ("a", 1.0), steps, ("b", 66.0)))


def test_equal_ends_have_no_way_to_name() -> None:
    assert Waterfall("µs", ("a", 3.0), {}, ("b", 3.0)).named_but() == 1.0
    assert draw(Waterfall("µs", ("a", 3.0), {}, ("b", 3.0)))

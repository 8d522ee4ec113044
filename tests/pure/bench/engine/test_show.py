"""Tables are aligned and fit a terminal."""

from __future__ import annotations

import pytest

from bench.engine.show import (
    Waterfall,
    columns,
    draw_waterfall,
    extremes,
    part,
    signed,
    wrap,
    written,
)
from twinstack.statistics.estimate import Interval, spread


def test_columns_are_aligned_under_their_heads() -> None:
    rows = [["namespaces", "2396"], ["docker", "12294"]]
    assert columns(["", "req/s"], rows, rule=True).splitlines() == [
        "            req/s",
        "─────────────────",
        "namespaces   2396",
        "docker      12294",
    ]


def test_a_column_of_names_is_aligned_to_the_left() -> None:
    assert columns(["by", "judgement", "ms"], [["a", "holds", "7"]]).splitlines() == [
        "by  judgement  ms",
        "a   holds       7",
    ]


def test_a_wide_table_has_narrower_gaps() -> None:
    rows = [["x" * 40, "1" * 19, "2" * 18]]
    assert max(map(len, columns(["", "a", "b"], rows).splitlines())) == 79


def test_a_sentence_that_is_too_long_is_broken() -> None:
    lines = wrap("word " * 40, "short", indent="  ").splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith("  word")
    assert lines[-1] == "short"


@pytest.mark.parametrize(("value", "text"), [(1.0, "100%"), (0.99999, "99.99%"), (0.5, "50.00%")])
def test_a_failure_is_never_rounded_away(value: float, text: str) -> None:
    assert part(value) == text


def test_numbers_have_signs_and_extremes() -> None:
    assert (signed(-2.04, 1), signed(3, 0)) == ("−2.0", "+3")
    assert extremes(spread([2.4, 1.2]), 1) == "(1.2–2.4)"


def test_an_estimate_is_written_beside_the_ends_of_its_interval() -> None:
    assert written(Interval(8.1, -7.5, 9.0)) == ("+8.1", "[−7.5, +9.0]")
    assert written(Interval(1_234.5, 0.0, 2_000.0), ",.0f") == ("1,234", "[0, 2,000]")


STEPS = {"nginx-lb": Interval(5.0, 4.0, 6.0), "docker-proxy": Interval(60.0, 55.0, 65.0)}
WAY = Waterfall("µs a request", ("namespaces", 400.0), STEPS, ("docker", 470.0))


def test_what_no_step_has_is_the_rest() -> None:
    assert WAY.rest == pytest.approx(5.0)
    assert WAY.named_but() == pytest.approx(1 - 5 / 70)
    assert WAY.named_but("nginx-lb") == pytest.approx(1 - 10 / 70)
    assert "  rest" in draw_waterfall(WAY)
    whole = Waterfall("µs", ("a", 400.0), STEPS, ("b", 465.0))
    assert (whole.named_but(), "rest" in draw_waterfall(whole)) == (1.0, False)


def test_bars_follow_each_other_and_are_as_long_as_their_steps() -> None:
    lines = draw_waterfall(WAY).splitlines()
    small, large = lines[3], lines[4]
    assert large.count("▒") > 5 * small.count("▒") > 0
    assert large.index("▒") >= small.rindex("▒")
    assert len(lines[-1].rsplit("  ", 1)[-1]) > len(lines[2].rsplit("  ", 1)[-1])  # totals
    assert max(map(len, lines)) <= 80


def test_a_step_that_may_be_none_and_is_tiny_is_left_out() -> None:
    steps = {**STEPS, "supervisor": Interval(0.01, -0.1, 0.1)}
    assert "supervisor" not in draw_waterfall(Waterfall("µs", ("a", 1.0), steps, ("b", 66.0)))


def test_equal_ends_have_no_way_to_name() -> None:
    assert Waterfall("µs", ("a", 3.0), {}, ("b", 3.0)).named_but() == 1.0
    assert draw_waterfall(Waterfall("µs", ("a", 3.0), {}, ("b", 3.0)))

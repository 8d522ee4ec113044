"""Tables are aligned and fit a terminal."""

from __future__ import annotations

import pytest

from bench.engine.show import columns, extremes, part, signed, wrap, written
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

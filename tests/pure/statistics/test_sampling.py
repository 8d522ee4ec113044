"""Student's t and the signed rank against printed tables and a count of all cases."""

from __future__ import annotations

import itertools

import pytest

from twinstack.statistics.sampling import signed_rank_below, t_quantile, t_within


@pytest.mark.parametrize(
    ("level", "freedom", "expected"),
    [
        (0.95, 1, 12.7062),
        (0.95, 2, 4.3027),
        (0.95, 3, 3.1824),
        (0.95, 5, 2.5706),
        (0.95, 10, 2.2281),
        (0.95, 120, 1.9799),
        (0.99, 7, 3.4995),
        (0.90, 8, 1.8595),
    ],
)
def test_quantiles_of_students_t_are_those_of_the_tables(
    level: float, freedom: int, expected: float
) -> None:
    assert t_quantile(level, freedom) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("freedom", [1, 2, 3, 8, 31])
def test_students_t_lies_within_its_quantile_as_often_as_asked(freedom: int) -> None:
    assert t_within(t_quantile(0.95, freedom), freedom) == pytest.approx(0.95)
    assert t_within(-2, freedom) == t_within(2, freedom)
    assert t_within(0, freedom) == 0


@pytest.mark.parametrize("count", [1, 2, 3, 6, 9])
def test_signed_ranks_are_as_likely_as_a_count_of_all_signs(count: int) -> None:
    signs = itertools.product((0, 1), repeat=count)
    sums = [sum(rank for rank, one in enumerate(row, 1) if one) for row in signs]
    chances = signed_rank_below(count)
    expected = [sum(of <= k for of in sums) / len(sums) for k in range(len(chances))]
    assert chances == pytest.approx(expected)
    assert len(chances) > count * (count + 1) // 4

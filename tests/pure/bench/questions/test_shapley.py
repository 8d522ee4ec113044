"""Shapley values add up to the gap, and give each cause its mean over all orders."""

from __future__ import annotations

import math
from itertools import permutations

import pytest

from bench.questions.shapley import LEFT, NONE, WHOLE, Cell, cells, draw, shared, shares, times

CAUSES = ("servers", "quota", "proxy", "connections")
WORTH = {"servers": 0.0, "quota": 0.5, "proxy": 0.1, "connections": 0.05}


def value(cell: Cell) -> float:
    """Give a gap in which the proxy is worth more where connections are new."""
    extra = 0.2 if {"proxy", "connections"} <= cell else 0.0
    return 0.02 + sum(WORTH[cause] for cause in cell) + extra


VALUES = {cell: value(cell) for cell in cells(CAUSES)}


def test_there_are_two_cells_for_each_cause_multiplied() -> None:
    assert len(cells(CAUSES)) == len(set(cells(CAUSES))) == 16
    assert (cells(CAUSES)[0], cells(CAUSES)[-1]) == (NONE, frozenset(CAUSES))


def test_parts_are_the_mean_over_every_order_and_add_up() -> None:
    found = shares(CAUSES, VALUES)
    orders = list(permutations(CAUSES))
    for cause in CAUSES:
        steps = []
        for order in orders:
            before = frozenset(order[: order.index(cause)])
            steps.append(VALUES[before | {cause}] - VALUES[before])
        assert found[cause] == pytest.approx(math.fsum(steps) / len(orders))
    assert sum(found.values()) == pytest.approx(VALUES[frozenset(CAUSES)] - VALUES[NONE])


def test_what_two_causes_have_together_is_halved() -> None:
    found = shares(CAUSES, VALUES)
    expected = {"servers": 0.0, "quota": 0.5, "proxy": 0.2, "connections": 0.15}
    assert found == pytest.approx(expected)


def test_a_shared_gap_has_intervals_over_deployments_and_is_drawn() -> None:
    looks = [
        (deployment, {cell: gap + step * len(cell) for cell, gap in VALUES.items()})
        for deployment, step in enumerate((0.0, 0.01, -0.01), 1)
    ]
    found = shared(CAUSES, looks)
    assert list(found) == [WHOLE, *CAUSES, LEFT]
    assert found["quota"].low < 0.5 < found["quota"].high
    parts = sum(found[cause].estimate for cause in CAUSES)
    assert parts == pytest.approx(found[WHOLE].estimate - found[LEFT].estimate)
    assert times(found[LEFT]) == "×1.02 [1.02, 1.02]"
    drawn = draw(found)
    assert "  quota" in drawn
    assert "  rest" not in drawn
    assert max(map(len, drawn.splitlines())) <= 80

"""The ladder's two ways: one rung a step, between the same ends, never without what one needs."""

from __future__ import annotations

from itertools import pairwise

from bench.questions.rungs import course
from bench.questions.rungs.course import DOWN, GROUND, LAYERS, TOP, UP


def test_each_step_of_both_ways_is_one_rung() -> None:
    for path in (course.climb(), list(course.descend())):
        assert all(len(before ^ after) == 1 for before, after in pairwise(path))
    assert course.climb()[0] == list(course.descend())[-1] == frozenset()
    assert course.climb()[-1] == next(course.descend())


def test_no_rung_stands_without_what_it_needs() -> None:
    assert all(map(course.stands, course.settings().values()))
    assert not course.stands(frozenset({"bridge"}))
    assert not course.stands(frozenset({"veth", "bridge", "conntrack"}))
    assert course.stands(frozenset({"veth", "bridge", "routed", "conntrack"}))


def test_the_ways_have_each_rung_once_and_lead_from_end_to_end() -> None:
    for way, upper, lower in ((UP, TOP, GROUND), (DOWN, TOP, GROUND)):
        edges = [edge for edge in course.edges() if edge.way == way]
        assert sorted(edge.rung for edge in edges) == sorted(layer.name for layer in LAYERS)
        assert {edge.upper for edge in edges} ^ {edge.lower for edge in edges} == {upper, lower}


def test_a_rung_has_other_surroundings_down_than_up() -> None:
    places = course.settings()
    up, down = (
        {edge.rung: places[edge.lower] for edge in course.edges() if edge.way == way}
        for way in (UP, DOWN)
    )
    assert "seccomp" in down["conntrack"]
    assert "seccomp" not in up["conntrack"]
    assert "routed" in up["seccomp"]
    assert "routed" not in down["seccomp"]


def test_a_replaced_rung_needs_no_proof() -> None:
    shown = course.shown(frozenset({"bind", "overlayfs", "log: file", "log: pipe"}))
    assert shown == ["overlayfs", "log: pipe"]

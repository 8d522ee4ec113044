"""The order of the ladder's windows, and what is left out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, pairwise
from typing import Any

from bench.questions import ladder
from bench.questions.ladder import Climb
from bench.questions.rungs import course
from bench.questions.rungs.course import WHOLE, Edge
from tests.support.bench_fakes import quiet
from twinstack.errors import CannotTell


def test_a_block_is_a_whole_way_or_two_ends_forth_and_back() -> None:
    edges = [WHOLE, *course.edges(), Edge("side", "unix socket", "unix socket", "loopback")]
    blocks = list(islice(ladder.order(edges, (), seed=3), len(course.blocks(edges))))
    for block in blocks:
        assert block == tuple(reversed(block))
    walked = [tuple(dict.fromkeys(arm.rsplit(", ", 1)[0] for arm in block)) for block in blocks]
    for way in ("up", "down"):
        own = [edge for edge in edges if edge.way == way]
        climbs = [places for places in walked if {own[3].upper, own[3].lower} <= {*places}]
        assert len(climbs) == 2
        for places in climbs:  # each rung's two places follow each other
            steps = {frozenset(step) for step in pairwise(places)}
            assert steps == {frozenset({edge.upper, edge.lower}) for edge in own}
    assert sum({*places} == {course.GROUND, course.TOP} for places in walked) == 8
    assert sum({*places} == {"loopback", "unix socket"} for places in walked) == 1


def test_a_place_that_is_not_proved_takes_its_rungs_and_the_whole_with_it() -> None:
    @contextmanager
    def place(name: str) -> Iterator[Any]:
        if name == "routed":
            raise CannotTell(name, "is not on the path")
        yield Proved()

    class Proved:
        def prove(self) -> dict[str, str]:
            return {"bridge": "both ports 5.1"}

    climb = Climb(dict.fromkeys(course.settings(), place), quiet, {}, 0.1)
    climb.survey()
    assert climb.left_out == {"routed": "routed: is not on the path"}
    assert climb.proofs == {"bridge": "both ports 5.1"}
    usable = climb.usable(course.edges())
    assert WHOLE not in usable
    assert {edge.rung for edge in course.edges() if edge not in usable} == {"routed", "DNAT"}

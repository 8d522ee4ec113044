"""The order of the ladder's windows, and what is left out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from bench.questions import ladder
from bench.questions.ladder import Climb
from bench.questions.rungs import course
from bench.questions.rungs.course import WHOLE
from tests.support.bench_fakes import quiet
from twinstack.errors import CannotTell


def test_a_block_is_one_rung_forth_and_back() -> None:
    edges = [WHOLE, *course.edges()]
    blocks = list(islice(ladder.order(edges, (), seed=3), len(edges)))
    for block in blocks:
        assert block == tuple(reversed(block))
        assert len(set(block)) == 4
    measured = {frozenset(arm.rsplit(", ", 1)[0] for arm in block) for block in blocks}
    assert measured == {frozenset({edge.upper, edge.lower}) for edge in edges}


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

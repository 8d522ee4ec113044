"""What became of a repair is said in one line."""

from __future__ import annotations

from twinstack.drill.check import duration, sentence_of
from twinstack.drill.choose import choose
from twinstack.faults.drill_record import Underway

UNDERWAY = Underway("x", "net", "flat", "", 1, "Ada", 0.0, "there", hints=1)


def test_a_whole_repair_is_told_with_its_time_hints_and_points() -> None:
    assert sentence_of(UNDERWAY, True, (), 252.0) == "solved in 4 min 12 s with 1 hint: 90 points"
    assert duration(8.4) == "8 s"


def test_a_repair_that_does_more_is_refused_by_what_it_did() -> None:
    told = sentence_of(UNDERWAY, True, ("order-service can now reach nginx-lb:80", "more"), 1.0)
    assert told == "the symptom is gone, but order-service can now reach nginx-lb:80"


def test_a_symptom_that_is_still_there_is_told_as_it_is() -> None:
    assert sentence_of(UNDERWAY, False, ("still: customers see 502",), 1.0) == (
        "still: customers see 502"
    )


def test_who_is_shown_the_solution_has_no_points_left() -> None:
    shown = Underway("x", "net", "flat", "", 1, "Ada", 0.0, "there", hints=3, shown=True)
    assert shown.points == 0
    assert [
        Underway("x", "net", "flat", "", 1, "", 0.0, "there", hints=hints).points
        for hints in range(4)
    ] == [100, 90, 70, 40]


def test_a_seed_draws_the_same_drill_and_replica_again() -> None:
    drawn = [choose("net", "flat", "", 0, seed) for seed in range(20)]
    assert drawn == [choose("net", "flat", "", 0, seed) for seed in range(20)]
    assert len({(drill.name, target) for drill, target in drawn}) > 1

"""A failing schedule is shrunk from the faults about its violation, or else from the whole."""

from __future__ import annotations

from tests.support.order_cases import Story
from twinstack.faults.drawing import DrawnFault
from twinstack.order_check.history import CausedFault
from twinstack.order_check.replay import reduced, repeated, suspects
from twinstack.order_check.violation import Violation, shown_by

FAULTS = tuple(DrawnFault(number, "kill", "a") for number in range(1, 21))


def test_the_faults_about_a_violation_are_suspected() -> None:
    struck = [CausedFault("kill", "a", 10.0 * fault.number, 0, 0) for fault in FAULTS]
    story = Story(struck=struck)
    done = story.did("order", at_s=99.0, ended_s=101.0)
    found = suspects(story.history(), FAULTS, shown_by("lost", "it is gone", done))
    assert [fault.number for fault in found] == [7, 8, 9, 10, 11, 12]
    without = suspects(story.history(), FAULTS, Violation("stock", "it is negative"))
    assert [fault.number for fault in without] == [17, 18, 19, 20]


def test_the_whole_is_shrunk_if_the_suspects_do_not_fail() -> None:
    for culprit in (FAULTS[8], FAULTS[1]):
        asked: list[tuple[DrawnFault, ...]] = []

        def fails(part: tuple[DrawnFault, ...], culprit=culprit, asked=asked) -> bool:
            asked.append(part)
            return culprit in part

        assert reduced(FAULTS[6:12], FAULTS, fails) == (culprit,)
        assert asked[0] == FAULTS[6:12]


def test_what_fails_only_sometimes_is_repeated_until_it_fails_nearly_always() -> None:
    asked: list[tuple[int, ...]] = []

    def fails(part: tuple[DrawnFault, ...]) -> bool:
        asked.append(tuple(fault.number for fault in part))
        return len(part) > 1 or len(asked) % 2 == 0

    part, failed = repeated(FAULTS[3:4], fails, 20)
    assert (len(part), failed) == (2, 20)
    assert len(asked) < 25  # once is given up as soon as it passed twice
    assert len(set(asked[-1])) == 2  # in rounds of its own each
    assert len({fault.target for fault in part}) == 1


def test_what_fails_at_its_most_only_sometimes_is_told_so() -> None:
    answers = iter([True, False] * 40)
    part, failed = repeated(FAULTS[:2], lambda _: next(answers), 20)
    assert (part, failed) == (FAULTS[:2], 10)

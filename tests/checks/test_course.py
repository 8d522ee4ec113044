"""Every lesson: its own solution passes, each mistake in it names the part, and nothing is lost."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.support.course_inside import CourseDriver, course_driver
from tests.support.course_mutants import mutants
from tests.support.kernel_state import kernel_state, unlike
from tests.support.sandbox import Sandbox, differences, snapshot
from twinstack.course.days import LESSONS

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]
Tell = Callable[[str], None]

#: Lessons whose parts are all made of commands on this host.
BY_HAND = [
    lesson.day
    for lesson in LESSONS
    if lesson.world == "net" and all(part.steps and not part.probes for part in lesson.parts)
]
SAMPLE = 6
_TOLD = 25


@pytest.fixture(scope="module")
def course(host: Sandbox) -> Iterator[CourseDriver]:
    with course_driver(host) as drive:
        yield drive


@pytest.fixture(scope="module")
def empty(host: Sandbox) -> dict[str, str]:
    return snapshot(host)


def _typed(course: CourseDriver, day: int) -> list[str]:
    return [command for _, commands in course.solution(day) for command in commands]


@pytest.mark.parametrize("day", BY_HAND)
def test_a_lesson_begins_empty_and_its_solution_completes_it(
    course: CourseDriver, empty: dict[str, str], day: int
):
    course.answer("start", day)
    finding = course.check()
    assert [each["part"] for each in finding["parts"] if each["done"]] == []
    assert finding["rest"] == []
    course.type(_typed(course, day))
    assert course.undone() == {}
    course.answer("stop")
    assert differences(empty, snapshot(course.host)) == []


@pytest.mark.timeout(0)
@pytest.mark.parametrize("day", BY_HAND)
def test_each_mistake_fails_and_names_its_part(
    course: CourseDriver, full: bool, tell: Tell, day: int
):
    solution = course.solution(day)
    course.answer("start", day)
    course.type([command for _, commands in solution for command in commands])
    whole = kernel_state(course.host)
    every = list(mutants(solution))
    tried = every if full else random.Random(day).sample(every, SAMPLE)
    counts: Counter[str] = Counter()
    for number, mutant in enumerate(tried, 1):
        if number % _TOLD == 0:
            tell(f"day {day}: at mutant {number} of {len(tried)}")
        course.answer("start", day)
        course.type(list(mutant.commands))
        said = course.undone()
        if not said:  # nothing is missed: then nothing may be different
            assert unlike(whole, kernel_state(course.host)) == [], mutant.what
            tell(f"day {day}: the same in the end: {mutant.what}")
            counts["equivalent"] += 1
        else:
            assert mutant.part in said, (mutant.what, said)
            counts["refused"] += 1
    course.answer("stop")
    tell(f"day {day}: {len(every)} mutants, {len(tried)} tried: {dict(counts)}")
    if full:
        assert counts["refused"] >= len(every) * 0.9

"""Every lesson: its own solution passes, each mistake in it names the part, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support import course_days
from tests.support.course_inside import CourseDriver, course_driver
from tests.support.sandbox import Sandbox, differences, snapshot

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]
Tell = Callable[[str], None]
BARE, SERVING = course_days.days("net"), course_days.days("net", services=True)
EVERY = sorted((*BARE, *SERVING, *course_days.days("overlay")))


@pytest.fixture
def course(host: Sandbox, day: int) -> Iterator[CourseDriver]:
    """Give what does the lesson of a day, on the module's host, and leaves nothing of it."""
    empty = snapshot(host)
    with course_driver(host, services=day in SERVING) as drive:
        yield drive
        drive.answer("stop")
    # Data of services stays, as after net.down.
    assert differences(empty, snapshot(host, but={"data"} if day in SERVING else ())) == []


@pytest.fixture(scope="module")
def serving(host: Sandbox) -> Iterator[CourseDriver]:
    """Give what does lessons whose services run."""
    with course_driver(host, services=True) as drive:
        yield drive
        drive.answer("stop")


@pytest.mark.parametrize("day", EVERY)
def test_a_lesson_begins_empty_and_its_solution_completes_it(course: CourseDriver, day: int):
    course_days.completed_by_its_solution(course, day)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("day", EVERY)
def test_each_mistake_fails_and_names_its_part(
    course: CourseDriver, full: bool, tell: Tell, day: int
):
    course_days.named_in_each_mistake(course, day, tell, None if full else course_days.SAMPLE)


@pytest.mark.parametrize("day", EVERY)
def test_a_lesson_is_caught_up_with_from_any_earlier_one(course: CourseDriver, day: int):
    course_days.caught_up_from_each_earlier_day(course, day)


@pytest.mark.parametrize("day", EVERY)
def test_each_answer_of_the_page_is_true(serving: CourseDriver, day: int):
    course_days.answered_by_its_page(serving, day)

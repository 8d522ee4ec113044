"""The lessons with services, and that of several hosts: solution, mistakes, pages, catching up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support import course_days
from tests.support.course_inside import CourseDriver, course_driver
from tests.support.sandbox import Sandbox, differences, snapshot

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]
Tell = Callable[[str], None]
SERVING = course_days.days("net", services=True)
DAYS = [*SERVING, *course_days.days("overlay")]
#: A page shows answers of a lesson with its services up, whether it needs them or not.
PAGES = sorted((*course_days.days("net"), *DAYS))


@pytest.fixture
def course(host: Sandbox, day: int) -> Iterator[CourseDriver]:
    """Give what does the lesson of a day, on the module's host, and leaves nothing of it."""
    for verb in ("-A", "-D"):  # the table mangle stays, once there was a rule in it
        host.run("iptables", "-t", "mangle", verb, "FORWARD", "-j", "ACCEPT")
    empty = snapshot(host, but={"data"})  # data of services stays, as after net.down
    with course_driver(host, services=day in SERVING) as drive:
        yield drive
        drive.answer("stop")
    assert differences(empty, snapshot(host, but={"data"})) == []


@pytest.mark.parametrize("day", DAYS)
def test_a_lesson_begins_empty_and_its_solution_completes_it(course: CourseDriver, day: int):
    course_days.completed_by_its_solution(course, day)


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("day", DAYS)
def test_each_mistake_fails_and_names_its_part(
    course: CourseDriver, full: bool, tell: Tell, day: int
):
    course_days.named_in_each_mistake(course, day, tell, None if full else course_days.SAMPLE)


@pytest.mark.long
@pytest.mark.parametrize("day", DAYS)
def test_a_lesson_is_caught_up_with_from_any_earlier_one(course: CourseDriver, day: int):
    course_days.caught_up_from_each_earlier_day(course, day)


@pytest.mark.long
@pytest.mark.parametrize("day", PAGES)
def test_each_answer_of_a_page_is_true(host: Sandbox, day: int):
    with course_driver(host, services=True) as drive:
        course_days.answered_by_its_page(drive, day)
        drive.answer("stop")

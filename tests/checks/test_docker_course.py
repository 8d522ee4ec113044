"""The lesson in Docker: its own solution passes, each mistake names the part, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support import course_days
from tests.support.course_inside import CourseDriver, course_driver
from tests.support.sandbox import Sandbox

pytestmark = [pytest.mark.e2e, pytest.mark.docker]
Tell = Callable[[str], None]
(DAY,) = course_days.days("docker", services=True)


@pytest.fixture(scope="module")
def course(host: Sandbox) -> Iterator[CourseDriver]:
    with course_driver(host, services=True) as drive:
        yield drive
        drive.answer("stop")
    assert host.run("docker", "ps", "--all", "--quiet").stdout == ""
    assert host.run("ip", "netns", "list").stdout == ""


def test_the_lesson_begins_empty_and_its_solution_completes_it(course: CourseDriver):
    course_days.completed_by_its_solution(course, DAY)


@pytest.mark.long
@pytest.mark.timeout(0)
def test_each_mistake_fails_and_names_its_part(course: CourseDriver, full: bool, tell: Tell):
    course_days.named_in_each_mistake(course, DAY, tell, None if full else course_days.SAMPLE)


@pytest.mark.long
def test_the_lesson_is_caught_up_with(course: CourseDriver):
    course_days.caught_up_from_each_earlier_day(course, DAY)


@pytest.mark.long
def test_each_answer_of_the_page_is_true(course: CourseDriver):
    course_days.answered_by_its_page(course, DAY)

"""What holds for every lesson, whatever world it is in; for the tests that make each world."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from tests.support import course_pages
from tests.support.course_inside import CourseDriver
from tests.support.course_mutants import mutants
from tests.support.kernel_state import kernel_state, unlike
from twinstack.course.days import LESSONS
from twinstack.course.lesson import WorldOfLesson

Tell = Callable[[str], None]
SAMPLE = 6
_TOLD = 25
#: What mutants make under names that are not the lesson's: the student's own to remove.
_REMOVE_MISNAMED = """
for link in br-elsewhere $(ls /sys/class/net | grep '^ve-x'); do ip link delete "$link"; done
for name in $(ls /run/netns | grep -e '-x$'); do ip netns delete "$name"; done
find /sys/fs/cgroup -depth -type d -path '*/twinstack/INSTANCE/*-x' -exec rmdir {} +
iptables -t mangle -F
"""


def days(world: WorldOfLesson, *, services: bool = False) -> list[int]:
    """List the lessons in a world: those that need its services, or those that do not."""
    return [each.day for each in LESSONS if (each.world, each.services) == (world, services)]


def typed(course: CourseDriver, day: int) -> list[str]:
    """Give a lesson's solution, command after command."""
    return [command for _, commands in course.solution(day) for command in commands]


def completed_by_its_solution(course: CourseDriver, day: int) -> None:
    """Begin a lesson: none of its parts is there; its own commands make them all."""
    course.answer("start", day)
    finding = course.check()
    assert [each["part"] for each in finding["parts"] if each["done"]] == []
    assert finding["rest"] == []
    course.type(typed(course, day))
    assert course.undone() == {}


def named_in_each_mistake(course: CourseDriver, day: int, tell: Tell, sample: int | None) -> None:
    """Make each mistake in turn, or a sample of them: each is found in the part where it is."""
    course.answer("start", day)
    solution = course.solution(day)
    course.type([command for _, commands in solution for command in commands])
    whole = kernel_state(course.host)
    every = list(mutants(solution))
    tried = every if sample is None else random.Random(day).sample(every, sample)
    counts: Counter[str] = Counter()
    for number, mutant in enumerate(tried, 1):
        if number % _TOLD == 0:
            tell(f"day {day}: at mutant {number} of {len(tried)}")
        _remove_misnamed(course)
        course.answer("start", day)
        course.type(list(mutant.commands))
        said = course.undone()
        _remove_misnamed(course)
        if not said:  # nothing is missed: then nothing may be different
            assert unlike(whole, kernel_state(course.host)) == [], mutant.what
            tell(f"day {day}: the same in the end: {mutant.what}")
            counts["equivalent"] += 1
        else:
            assert mutant.part in said, (mutant.what, said)
            counts["refused"] += 1
    tell(f"day {day}: {len(every)} mutants, {len(tried)} tried: {dict(counts)}")
    if sample is None:
        assert counts["refused"] >= len(every) * 0.9


def _remove_misnamed(course: CourseDriver) -> None:
    script = _REMOVE_MISNAMED.replace("INSTANCE", course.host.instance)
    course.host.run("sh", "-c", script, check=False)


def caught_up_from_each_earlier_day(course: CourseDriver, day: int) -> None:
    """Catch up with a lesson from the middle of every earlier one in the same world."""
    world = {each.day: each.world for each in LESSONS}
    for earlier in range(1, day + 1):
        if world[earlier] == world[day]:
            course.answer("start", earlier)
            course.type(typed(course, earlier)[::2])
        course.answer("catchup", day)
        assert course.undone() == {}, earlier


def answered_by_its_page(course: CourseDriver, day: int) -> None:
    """Hold each answer of a lesson's page against the stack when the lesson is complete."""
    if day in days("docker", services=True):  # a container that Compose made is another one
        course.answer("start", day)
        course.type(typed(course, day))
    else:  # the processes run, which a student starts by the way
        course.answer("catchup", day)
    wrong = [
        sentence
        for block in course_pages.answers(day)
        for sentence in course_pages.untrue(course.host, block)
    ]
    assert wrong == []

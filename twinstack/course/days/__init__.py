"""The lessons, a module each."""

from __future__ import annotations

from twinstack.course.days import day1, day2, day3, day4, day5, day6, day7
from twinstack.course.lesson import Lesson

LESSONS: tuple[Lesson, ...] = tuple(
    module.DAY for module in (day1, day2, day3, day4, day5, day6, day7)
)

"""The lessons, a module each."""

from __future__ import annotations

from twinstack.course.days import day1, day2, day5
from twinstack.course.lesson import Lesson

LESSONS: tuple[Lesson, ...] = (
    day1.DAY,
    day2.DAY,
    day5.DAY,
)

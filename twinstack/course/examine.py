"""Examine a lesson on its ground: what is there, what is answered, how it is solved and undone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from twinstack.course import by_hand, shell
from twinstack.course.check import LessonState, judged
from twinstack.course.ground import Ground
from twinstack.course.lesson import Assignment, Lesson, Part, assigned, written


def state_of(lesson: Lesson, ground: Ground, answers: Mapping[str, str]) -> LessonState:
    """Read the kernel, run the probes, compare the answers. Raises: StepFailed; WrongUse."""
    steps, facts = ground.look()
    missing = {
        part.name: said for part in lesson.parts if (said := _missing(part, ground, answers))
    }
    return judged(assigned(lesson, ground.plan, steps), steps, facts, said)


def _missing(part: Part, ground: Ground, answers: Mapping[str, str]) -> str:
    """Say what is missing of what no step says; "" for nothing."""
    if not all(shell.succeeds(_written(probe, ground)) for probe in part.probes):
        return part.missing or "is not done"
    if not part.answer:
        return ""
    given = answers.get(part.name, "")
    if given and is_right(given, part, ground):
        return ""
    return f"{part.question} It is not {given}." if given else part.question


def is_right(text: str, part: Part, ground: Ground) -> bool:
    """Tell whether an answer is right now."""
    return shell.is_printed(text, _written(part.answer, ground))


def solution(lesson: Lesson, ground: Ground) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """List each part with its commands, as a student would type them. Raises: as `state_of`."""
    steps, _ = ground.look()
    assignments = assigned(lesson, ground.plan, steps)
    return tuple(
        (each.part.name, _typed(number, each, ground)) for number, each in enumerate(assignments, 1)
    )


def _typed(number: int, assignment: Assignment, ground: Ground) -> tuple[str, ...]:
    part = assignment.part
    typed = by_hand.solution(assignment.steps, part.only, ground.enter)
    own = tuple(_written(command, ground) for command in part.solution)
    asked = (f'invoke course.answer {number} "$({_written(part.answer, ground)})"',)
    return (*typed, *own, *(asked if part.answer else ()))


def solve(lesson: Lesson, ground: Ground) -> dict[str, str]:
    """Do what no step does, in a world that is up; give the answers to what is asked."""
    _run(ground, (command for part in lesson.parts for command in part.solution))
    found = {
        part.name: shell.first_line(_written(part.answer, ground))
        for part in lesson.parts
        if part.answer
    }
    return {name: answer for name, answer in found.items() if answer}


def undo(lesson: Lesson, ground: Ground) -> None:
    """Take away what no step did; what is not there is no failure."""
    _run(ground, (command for part in lesson.parts for command in part.undo))


def _run(ground: Ground, commands: Iterable[str]) -> None:
    for command in commands:
        shell.succeeds(_written(command, ground))


def _written(command: str, ground: Ground) -> str:
    return written(ground.plan, command, ground.enter)

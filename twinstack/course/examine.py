"""Examine a lesson on its ground: what is there, what is answered, how it is solved and undone."""

from __future__ import annotations

from collections.abc import Mapping

from twinstack.course import by_hand, shell
from twinstack.course.check import LessonState, judged
from twinstack.course.ground import Ground
from twinstack.course.lesson import Assignment, Lesson, Part, assigned, own_steps, written


def state_of(lesson: Lesson, ground: Ground, answers: Mapping[str, str]) -> LessonState:
    """Read the kernel, look at own steps, compare the answers. Raises: StepFailed; WrongUse."""
    steps, facts = ground.look()
    printed = shell.look_at(own_steps(lesson, ground.plan))
    missing = {
        part.name: said for part in lesson.parts if (said := _missing(part, ground, answers))
    }
    return judged(assigned(lesson, ground.plan, steps), steps, facts, missing, printed)


def _missing(part: Part, ground: Ground, answers: Mapping[str, str]) -> str:
    """Say what is missing of an answer; "" for nothing."""
    if not part.answer:
        return ""
    given = answers.get(part.name, "")
    if given and is_right(given, part, ground):
        return ""
    return f"{part.question} It is not {given}." if given else part.question


def is_right(text: str, part: Part, ground: Ground) -> bool:
    """Tell whether an answer is right now."""
    return shell.is_right(text, _written(part.answer, ground))


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
    asked = (f'invoke course.answer {number} "$({_written(part.answer, ground)})"',)
    return (*typed, *(asked if part.answer else ()))


def solve(lesson: Lesson, ground: Ground) -> dict[str, str]:
    """Make a lesson's own steps in a world that is up; give the answers to what is asked."""
    for step in own_steps(lesson, ground.plan):
        if step.difference(shell.look_at([step])):
            shell.make(step)
    asked = {part.name: part.answer for part in lesson.parts if part.answer}
    found = {name: shell.answers(_written(command, ground)) for name, command in asked.items()}
    return {name: answers[0] for name, answers in found.items() if answers}


def undo(lesson: Lesson, ground: Ground) -> None:
    """Take away a lesson's own steps; what is not there is no failure."""
    for step in own_steps(lesson, ground.plan):
        shell.remove(step)


def _written(command: str, ground: Ground) -> str:
    return written(ground.plan, command, ground.enter)

"""The course: lessons that a student builds by hand, checked against the plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoke.context import Context

from front import tables
from front.reporting import answer, say, show_removed, task, width
from twinstack import stack
from twinstack.errors import NOT_SO, WrongUse
from twinstack.printable import counted

if TYPE_CHECKING:  # listing the tasks loads no world
    from twinstack.course.session import Course, LessonReport

_DAY = {"day": "the lesson's number, as in course.list"}
_SERVICES = {"services": "--no-services sets up the network alone, in a second"}


@dataclass(frozen=True, slots=True)
class ListedLesson:
    """A lesson and its parts."""

    day: int
    title: str
    shape: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedLessons:
    """All lessons, and which is under way."""

    lessons: tuple[ListedLesson, ...]
    under_way: int | None


@dataclass(frozen=True, slots=True)
class BegunLesson:
    """A lesson that was begun or caught up with."""

    day: int
    title: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnsweredPart:
    """An answer, and whether it is right now."""

    part: int
    text: str
    right: bool


@dataclass(frozen=True, slots=True)
class SolvedPart:
    """A part with the commands that make it."""

    part: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LessonSolution:
    """The commands of a lesson, part by part."""

    parts: tuple[SolvedPart, ...]


def _number(day: str) -> int:
    """Read a number. Raises: WrongUse."""
    if not day.isdecimal():
        raise WrongUse(day, "is no number", "", "see course.list")
    return int(day)


def _course() -> Course:
    from twinstack.course.session import Course

    return Course(stack.from_environment())


@task()
def course_list(_: Context, json: bool = False) -> None:
    """List the lessons, with the parts that a student builds in each."""
    course = _course()
    listed = tuple(
        ListedLesson(
            lesson.day, lesson.title, lesson.shape, tuple(part.name for part in lesson.parts)
        )
        for lesson in course.lessons
    )
    session = course.session()
    lines = []
    for lesson in listed:
        under_way = " (under way)" if session and session.day == lesson.day else ""
        lines += [f"{lesson.day}  {lesson.title}{under_way}", f"   {', '.join(lesson.parts)}"]
    document = ListedLessons(listed, session.day if session else None)
    answer(json, document, "\n".join(lines))


@task(
    help={
        **_DAY,
        **_SERVICES,
        "student": "the name that course.check and course.grade show",
    }
)
def course_start(
    _: Context, day: str, student: str = "", services: bool = True, json: bool = False
) -> None:
    """Bring up everything that a lesson does not teach; its parts are yours to build."""
    lesson = _course().start(_number(day), services=services, student=student, progress=say)
    document = BegunLesson(lesson.day, lesson.title, tuple(part.name for part in lesson.parts))
    todo = "\n".join(f"{number}. {part}" for number, part in enumerate(document.parts, 1))
    text = f'Day {day}: {lesson.title}. Build these, then run "invoke course.check":\n{todo}'
    answer(json, document, text)


@task()
def course_check(_: Context, json: bool = False) -> None:
    """Say, part by part, what is there and what differs; exits 1 until all is as planned."""
    report = _course().check()
    answer(json, report, report_text(report), 0 if report.finding.complete else NOT_SO)


def report_text(report: LessonReport) -> str:
    """Write a checked lesson as a table, with what comes next."""
    finding = report.finding
    rows = [
        (str(number), part.part, "ok" if part.done else "no", "; ".join(part.differences))
        for number, part in enumerate(finding.parts, 1)
    ]
    header, kept = ("", "part", "done", "differs"), ("part", "differs")
    lines = [tables.columns(header, rows, width(), keep=kept)]
    if finding.rest:
        lines += ["", "No part of the lesson, and not as it was:"]
        lines += [f"- {sentence}" for sentence in finding.rest]
        lines.append(
            f'"invoke course.catchup {report.day}" builds all of it again;'
            f' "invoke course.start {report.day}" all but the parts.'
        )
    elif finding.complete:
        lines += ["", f"Day {report.day} is complete."]
        lines += [f'"invoke net.restart {replica}" starts it.' for replica in finding.waiting]
    return "\n".join(lines)


@task(help={"part": "the part's number, from 1", "text": "your answer"})
def course_answer(_: Context, part: str, text: str, json: bool = False) -> None:
    """Answer a part that asks; exits 1 when it is not so."""
    right = _course().answer(_number(part), text)
    code, verdict = (0, "is right") if right else (NOT_SO, "is not so")
    answer(json, AnsweredPart(int(part), text, right), f"Part {part}: {text} {verdict}.", code)


@task(help={**_DAY, **_SERVICES})
def course_catchup(_: Context, day: str, services: bool = True, json: bool = False) -> None:
    """Bring the end of a lesson about, whatever was made by hand so far."""
    lesson = _course().catchup(_number(day), services=services, progress=say)
    document = BegunLesson(lesson.day, lesson.title, tuple(part.name for part in lesson.parts))
    answer(json, document, f"Day {day} ({lesson.title}) is complete.")


@task(positional=["day"], help={"day": "the lesson's number; unset: the one under way"})
def course_solution(_: Context, day: str = "", json: bool = False) -> None:
    """Print the commands that make a lesson's parts, for bash."""
    solved = tuple(SolvedPart(*each) for each in _course().solution(_number(day) if day else None))
    blocks = ["\n".join([f"# {part.part}", *part.commands]) for part in solved]
    answer(json, LessonSolution(solved), "\n\n".join(blocks))


@task(help={"student": "the name to show; unset: the one that course.start was given"})
def course_grade(_: Context, student: str = "", json: bool = False) -> None:
    """Show how far a student is, after how many checks and minutes; one line, or document, each."""
    from dataclasses import replace

    report = _course().report()
    report = replace(report, student=student or report.student)
    parts = report.finding.parts
    done = sum(part.done for part in parts)
    text = (
        f"{report.student or 'student'}: day {report.day}, {done} of {len(parts)} parts,"
        f" {counted(report.checks, 'check')}, {report.minutes} minutes"
    )
    answer(json, report, text, 0 if report.finding.complete else NOT_SO)


@task()
def course_stop(_: Context, json: bool = False) -> None:
    """End the lesson: what it made is removed, and the world is as it was before."""
    show_removed(_course().stop(progress=say), json)

"""The lesson that is under way: begun, checked, caught up with, and put back.

It is recorded under /run/twinstack/INSTANCE before anything is changed: the day, the names that
were free or ours, and how the world was up before. So `stop` restores that from any moment on,
after a crash too, and whatever the student did.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, with_config

from twinstack.course import by_hand, shell
from twinstack.course.check import LessonState, judged
from twinstack.course.days import LESSONS
from twinstack.course.ground import GROUNDS, Ground, Worlds
from twinstack.course.kernel import PlanNames
from twinstack.course.lesson import Assignment, Lesson, assigned, own_steps, the_lesson, written
from twinstack.course.own_step import OwnStep
from twinstack.errors import Missing, NotOurs, SeveralFailed, TwinstackError, WrongUse, raise_all
from twinstack.faults import drill_record
from twinstack.linux import files
from twinstack.namespaces import observe
from twinstack.reconcile import Progress
from twinstack.state import records
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.world import require_root


@with_config(ConfigDict(strict=True, extra="forbid"))
@dataclass(frozen=True, slots=True)
class LessonUnderWay:
    """What is recorded of the lesson under way."""

    day: int
    noted: PlanNames
    former: str  # how its world was up before the first lesson in it; "": it was not
    services: bool = True
    student: str = ""
    started: float = 0.0  # seconds since 1970; 0: its start was interrupted, or failed
    checks: int = 0
    done_after: Mapping[str, float] = field(default_factory=dict)  # part → seconds since then
    answers: Mapping[str, str] = field(default_factory=dict)  # part → what the student answered
    caught_up: bool = False  # we did it


_JSON = TypeAdapter(LessonUnderWay)


@dataclass(frozen=True, slots=True)
class LessonReport:
    """A lesson under way, as it is now."""

    day: int
    title: str
    student: str
    finding: LessonState
    checks: int
    minutes: float  # since it was begun
    done_after: Mapping[str, float]  # part → minutes since then, when it was first found done
    caught_up: bool


@dataclass(frozen=True)
class Course:
    """The lessons on one instance."""

    worlds: Worlds
    lessons: Sequence[Lesson] = LESSONS

    @property
    def _paths(self) -> InstancePaths:
        return InstancePaths(self.worlds.instance)

    @property
    def _file(self) -> Path:
        return self._paths.run / "course.json"

    def session(self) -> LessonUnderWay | None:
        """Read what is under way. Raises: CannotTell."""
        return records.read(self._file, _JSON, "look at it, then remove it")

    def _under_way(self, task: str) -> LessonUnderWay:
        session = self.session()
        if session is None:
            remedy = 'run "invoke course.start" with a day'
            raise Missing(task, "cannot be done", "no lesson is under way", remedy)
        return session

    def _begun(self, task: str) -> LessonUnderWay:
        """Give the lesson under way, once its parts were taken away, or it was caught up with."""
        session = self._under_way(task)
        if not session.started:
            cause = f"the start of {self._lesson(session).name} did not end"
            remedy = f'run "invoke course.start {session.day}" again, or "invoke course.stop"'
            raise Missing(task, "cannot be done", cause, remedy)
        return session

    def _write(self, session: LessonUnderWay) -> None:
        records.write(self._file, _JSON, session)

    def _lesson(self, session: LessonUnderWay) -> Lesson:
        return the_lesson(self.lessons, session.day)

    def _ground(self, lesson: Lesson, services: bool) -> Ground:
        return GROUNDS[lesson.world](self.worlds, lesson, services)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other tasks of the course from running; without a lesson nothing stays of it."""
        with locked(self._paths, "course"):
            try:
                yield
            finally:
                if not self._file.exists():
                    remove_run(self._paths, "course")

    def start(
        self, day: int, *, services: bool = True, student: str = "", progress: Progress
    ) -> Lesson:
        """Bring up all that a lesson does not teach; another one must be complete.

        The day that is under way begins again. Raises: WrongUse; NotOurs for a name that a stranger
        has, before anything is changed; as the world's `up`.
        """
        require_root("course.start")
        lesson = the_lesson(self.lessons, day)
        with self._alone():
            before = self._before("course.start", lesson)
            if before and before.day != day and not self._finished(before):
                way_on = f'"invoke course.catchup {before.day}" completes it'
                cause = f"{self._lesson(before).name} is under way and not complete"
                remedy = f'{way_on}, "invoke course.stop" ends it'
                raise WrongUse(lesson.name, "is not begun", cause, remedy)
            session, ground = self._begin(lesson, before, services, student, progress)
            ground.up(progress)
            progress("taking away what the lesson teaches")
            steps, _ = ground.look()
            parts = assigned(lesson, ground.plan, steps)
            ground.take_away(parts)
            for step in own_steps(lesson, ground.plan):
                shell.remove(step)
            self._write(replace(session, started=round(time.time(), 3)))
        return lesson

    def catchup(self, day: int, *, services: bool = True, progress: Progress) -> Lesson:
        """Bring the end of a lesson about, from wherever the student is.

        What was made by hand under the plan's names is replaced. Raises: as `start`.
        """
        require_root("course.catchup")
        lesson = the_lesson(self.lessons, day)
        with self._alone():
            before = self._before("course.catchup", lesson)
            if before and not lesson.services:
                services = before.services
            student = before.student if before else ""
            session, ground = self._begin(lesson, before, services, student, progress)
            ground.up(progress)
            for own in own_steps(lesson, ground.plan):
                if own.difference(shell.look_at([own])):
                    shell.make(own)
            steps, _ = ground.look()
            parts = assigned(lesson, ground.plan, steps)
            found = {
                each.part.name: answers[0]
                for each in parts
                if each.part.answer and (answers := shell.answers(self._written(ground, each)))
            }
            started = before.started if before and before.day == day else 0.0
            started = started or round(time.time(), 3)
            self._write(replace(session, started=started, answers=found, caught_up=True))
        return lesson

    def _before(self, task: str, lesson: Lesson) -> LessonUnderWay | None:
        """Read what is under way. Raises: TwinstackError for a drill in a world to change."""
        before = self.session()
        for each in (lesson, *([self._lesson(before)] if before else [])):
            drill_record.refuse(self.worlds.instance, each.world, task)
        return before

    def _begin(
        self,
        lesson: Lesson,
        before: LessonUnderWay | None,
        services: bool,
        student: str,
        progress: Progress,
    ) -> tuple[LessonUnderWay, Ground]:
        """Remove what an earlier lesson left by hand, and record the next one."""
        if lesson.services and not services:
            cause, remedy = "its parts are of services", "leave --no-services out"
            raise WrongUse(lesson.name, "cannot be taught", cause, remedy)
        ground = self._ground(lesson, services)
        own = own_steps(lesson, ground.plan)  # a mistake in the topology comes before any change
        if before:
            self._undo(before)
            if self._lesson(before).world != lesson.world:
                self._ground(self._lesson(before), before.services).restore(before.former, progress)
                files.remove(self._file)
                before = None
        if before is None or before.day != lesson.day:
            _refuse_strangers(own)
        former = observe.read_sysctls(key for step in own for key in step.sysctls)
        with _hints(made_by_hand=bool(before)):
            names = ground.free_names().with_those(PlanNames(sysctls=tuple(former.items())))
        session = LessonUnderWay(
            lesson.day,
            before.noted.with_those(names) if before else names,
            before.former if before else ground.former(),
            services,
            student,
        )
        if before and before.day == lesson.day:
            session = replace(session, checks=before.checks)
        self._write(session)
        return session, ground

    def _undo(self, session: LessonUnderWay) -> None:
        """Remove what was made by hand in a lesson."""
        lesson = self._lesson(session)
        ground = self._ground(lesson, session.services)
        ground.reclaim(session.noted)
        with suppress(TwinstackError):  # the topology may be gone, and with it the plan's names
            for step in own_steps(lesson, ground.plan):
                shell.remove(step)

    def _written(self, ground: Ground, assignment: Assignment) -> str:
        return written(ground.plan, assignment.part.answer, ground.enter)

    def check(self) -> LessonReport:
        """Compare the lesson under way with its plan, and count that it was asked.

        Raises: Missing when none is; StepFailed when the kernel cannot be read.
        """
        require_root("course.check")
        with self._alone():
            session = self._begun("course.check")
            finding = self._finding(session)
            after = round(time.time() - session.started, 1)
            done = {part.part: after for part in finding.parts if part.done}
            session = replace(
                session, checks=session.checks + 1, done_after={**done, **session.done_after}
            )
            self._write(session)
            return self._report(session, finding)

    def report(self) -> LessonReport:
        """As `check`, but not counted. Raises: as `check`."""
        require_root("course.grade")
        session = self._begun("course.grade")
        return self._report(session, self._finding(session))

    def _report(self, session: LessonUnderWay, finding: LessonState) -> LessonReport:
        return LessonReport(
            session.day,
            self._lesson(session).title,
            session.student,
            finding,
            session.checks,
            round((time.time() - session.started) / 60, 1),
            {part: round(after / 60, 1) for part, after in session.done_after.items()},
            session.caught_up,
        )

    def _finding(self, session: LessonUnderWay) -> LessonState:
        lesson = self._lesson(session)
        ground = self._ground(lesson, session.services)
        steps, facts = ground.look()
        parts = assigned(lesson, ground.plan, steps)
        missing: dict[str, str] = {}
        for each in parts:
            part = each.part
            if part.answer:
                given = session.answers.get(part.name, "")
                if not given:
                    missing[part.name] = part.question
                elif not shell.is_right(given, self._written(ground, each)):
                    missing[part.name] = f"{part.question} It is not {given}"
        printed = shell.look_at(own_steps(lesson, ground.plan))
        return judged(parts, steps, facts, missing, printed)

    def answer(self, number: int, text: str) -> bool:
        """Note the answer to a lesson's part, numbered from 1; give whether it is right now.

        Raises: WrongUse for a part that asks nothing; Missing.
        """
        require_root("course.answer")
        with self._alone():
            session = self._begun("course.answer")
            lesson = self._lesson(session)
            asking = {place: part for place, part in enumerate(lesson.parts, 1) if part.answer}
            if number not in asking:
                known = ", ".join(map(str, asking)) or "none"
                cause = f"the parts of {lesson.name} that do: {known}"
                raise WrongUse(f"part {number}", "asks nothing", cause)
            part = asking[number]
            answers = {**session.answers, part.name: text.strip()}
            self._write(replace(session, answers=answers))
            ground = self._ground(lesson, session.services)
            return shell.is_right(text, written(ground.plan, part.answer, ground.enter))

    def _finished(self, session: LessonUnderWay) -> bool:
        return not session.started or session.caught_up or self._finding(session).complete

    def solution(self, day: int | None = None) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """List each part of a lesson, of the one under way unless said, with its commands.

        Raises: WrongUse; Missing.
        """
        session = self.session()
        if day is None:
            session = self._under_way("course.solution")
        lesson = the_lesson(self.lessons, day or (session.day if session else 0))
        ground = self._ground(lesson, session.services if session else True)
        steps, _ = ground.look()
        return tuple(
            (each.part.name, self._solution_of(ground, number, each))
            for number, each in enumerate(assigned(lesson, ground.plan, steps), 1)
        )

    def _solution_of(self, ground: Ground, number: int, assignment: Assignment) -> tuple[str, ...]:
        part = assignment.part
        typed = by_hand.solution(assignment.steps, part.only, ground.enter)
        if part.answer:
            return (
                *typed,
                f'invoke course.answer {number} "$({self._written(ground, assignment)})"',
            )
        return typed

    def stop(self, *, progress: Progress) -> tuple[str, ...]:
        """End the lesson: what it made goes, and the world is as it was before the first.

        Works from any moment of any other task. Gives what was removed. Raises: Missing; as the
        world's `down` and `up`.
        """
        require_root("course.stop")
        with self._alone():
            session = self._under_way("course.stop")
            if session.former:  # else the world goes, and the drill with it
                world = self._lesson(session).world
                drill_record.refuse(self.worlds.instance, world, "course.stop")
            self._undo(session)
            ground = self._ground(self._lesson(session), session.services)
            with _hints(made_by_hand=True):
                removed = ground.restore(session.former, progress)
            files.remove(self._file)
        return removed

    def forget(self) -> None:
        """Remove what was made by hand, and that a lesson is under way; `clean` does the rest."""
        if self.session() is not None:
            with self._alone():
                if session := self.session():
                    self._undo(session)
                    files.remove(self._file)

    def removable(self) -> tuple[str, ...]:
        """Name what `forget` would remove."""
        session = self.session()
        return (f"lesson {session.day}, and what was made by hand in it",) if session else ()


def _refuse_strangers(steps: Iterable[OwnStep]) -> None:
    """Refuse to begin where a name of a lesson's own steps is taken. Raises: NotOurs."""
    taken = [path for step in steps for path in step.claims if os.path.lexists(path)]
    cause, remedy = "the lesson needs its name", "rename or remove it"
    raise_all("course.start", [NotOurs(path, "is not ours", cause, remedy) for path in taken])


@contextmanager
def _hints(*, made_by_hand: bool) -> Iterator[None]:
    """Say what to do about a stranger's object that the student may have made."""
    try:
        yield
    except NotOurs as error:
        if not made_by_hand:
            raise
        raise _hinted(error) from error
    except SeveralFailed as error:
        if not made_by_hand:
            raise
        failures = [_hinted(each) if isinstance(each, NotOurs) else each for each in error.failures]
        raise SeveralFailed(error.obj, failures) from error


def _hinted(error: NotOurs) -> NotOurs:
    remedy = "it has no name of the lesson's: if you made it, remove it, then run this again"
    return NotOurs(error.obj, error.failure, error.cause, remedy)

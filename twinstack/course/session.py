"""The lesson that is under way: begun, checked, caught up with, and put back.

It is recorded under /run/twinstack/INSTANCE before anything is changed: the day, the names that
were free or ours, and how the namespace world was up before. So `stop` restores that from any
moment on, after a crash too, and whatever the student did.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, with_config

from twinstack.course import by_hand, ground
from twinstack.course.check import Finding, judged
from twinstack.course.days import LESSONS
from twinstack.course.ground import PlanNames
from twinstack.course.lesson import Assignment, Lesson, assigned, the_lesson
from twinstack.errors import Missing, TwinstackError, WrongUse
from twinstack.linux import files
from twinstack.model import bounds
from twinstack.model.plan import Plan
from twinstack.namespaces import observe, preflight
from twinstack.namespaces import world as namespaces
from twinstack.namespaces.steps import network_steps
from twinstack.namespaces.world import NamespaceWorld
from twinstack.reconcile import Progress
from twinstack.state import records
from twinstack.state.journal import Journal, read_journal
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.world import require_root

_PROBE_S = 30


@with_config(ConfigDict(strict=True, extra="forbid"))
@dataclass(frozen=True, slots=True)
class Session:
    """What is recorded of the lesson under way."""

    day: int
    noted: PlanNames
    former: Journal  # how the world was up before the first lesson; empty: it was not
    services: bool = True
    student: str = ""
    started: float = 0.0  # seconds since 1970
    checks: int = 0
    done_after: dict[str, float] = field(default_factory=dict)  # part → seconds since the start
    caught_up: bool = False  # we did it


_JSON = TypeAdapter(Session)


@dataclass(frozen=True, slots=True)
class LessonReport:
    """A lesson under way, as checked now."""

    day: int
    title: str
    student: str
    finding: Finding
    checks: int
    minutes: float  # since it was begun
    done_after: dict[str, float]  # part → minutes since then, when it was first found done
    caught_up: bool


@dataclass(frozen=True)
class Course:
    """The lessons on one instance. `net` gives its namespace world, as `Stack.net`."""

    instance: str
    net: Callable[..., NamespaceWorld]
    lessons: Sequence[Lesson] = LESSONS

    @property
    def _paths(self) -> InstancePaths:
        return InstancePaths(self.instance)

    @property
    def _file(self) -> Path:
        return self._paths.run / "course.json"

    def session(self) -> Session | None:
        """Read what is under way. Raises: CannotTell."""
        return records.read(self._file, _JSON, "look at it, then remove it")

    def _under_way(self, task: str) -> Session:
        session = self.session()
        if session is None:
            remedy = 'run "invoke course.start" with a day'
            raise Missing(task, "cannot be done", "no lesson is under way", remedy)
        return session

    def _world(self, lesson: Lesson, services: bool) -> NamespaceWorld:
        bare = not (services and lesson.services)
        return self.net(lesson.shape, limited=True, bare=bare, policy=lesson.policy)

    def start(
        self, day: int, *, services: bool = True, student: str = "", progress: Progress
    ) -> Lesson:
        """Bring up all that a lesson does not teach; another one must be complete.

        The day that is under way begins again. Raises: WrongUse; NotOurs for a name that a stranger
        has, before anything is changed; as `NamespaceWorld.up`.
        """
        require_root("course.start")
        lesson = the_lesson(self.lessons, day)
        with self._alone():
            before = self.session()
            if before and before.day != day and not self._finished(before):
                way_on = f'"invoke course.catchup {before.day}" completes it'
                cause = f"{self._lesson(before).name} is under way and not complete"
                remedy = f'{way_on}, "invoke course.stop" ends it'
                raise WrongUse(lesson.name, "is not begun", cause, remedy)
            session, world = self._begin(lesson, before, services, student)
            world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
            progress("taking away what the lesson teaches")
            parts = assigned(lesson, world.plan, world.planned())
            ground.take_away(world, parts)
            _run_all(world.plan, (command for each in parts for command in each.part.undo))
            self._write(replace(session, started=round(time.time(), 3)))
        return lesson

    def catchup(self, day: int, *, services: bool = True, progress: Progress) -> Lesson:
        """Bring the end of a lesson about, from wherever the student is.

        What was made by hand under the plan's names is replaced. Raises: as `start`.
        """
        require_root("course.catchup")
        lesson = the_lesson(self.lessons, day)
        with self._alone():
            before = self.session()
            services = before.services if before else services
            student = before.student if before else ""
            session, world = self._begin(lesson, before, services, student)
            world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
            parts = assigned(lesson, world.plan, world.planned())
            solutions = (each.part.solution for each in parts if each.part.probes)
            _run_all(world.plan, (command for solution in solutions for command in solution))
            self._write(replace(session, caught_up=True))
        return lesson

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other tasks of the course from running; without a lesson nothing stays of it."""
        with locked(self._paths, "course"):
            try:
                yield
            finally:
                if not self._file.exists():
                    remove_run(self._paths, "course")

    def _begin(
        self, lesson: Lesson, before: Session | None, services: bool, student: str
    ) -> tuple[Session, NamespaceWorld]:
        """Remove what an earlier lesson left by hand, and record the next one."""
        world = self._world(lesson, services)
        network, planned = network_steps(world.plan), world.planned()
        if world.bare or len(planned) > len(network):  # else the processes' steps are not known
            assigned(lesson, world.plan, planned)
        noted, former = PlanNames(), read_journal(self._paths)
        if before:
            noted, former = before.noted, before.former
            self._undo(before)
        facts = observe.observe(world.plan, network)
        preflight.check(world.plan, network, facts)
        fresh = ground.names_of(network, facts.sysctls)
        noted = PlanNames(
            tuple(dict.fromkeys((*noted.objects, *fresh.objects))),
            tuple({**dict(fresh.sysctls), **dict(noted.sysctls)}.items()),
        )
        same = before is not None and before.day == lesson.day
        session = Session(
            lesson.day,
            noted,
            former,
            services,
            student,
            started=before.started if before and same else round(time.time(), 3),
            checks=before.checks if before and same else 0,
        )
        self._write(session)
        return session, world

    def _undo(self, session: Session) -> None:
        """Remove what was made by hand in a lesson."""
        ground.reclaim(self.instance, session.noted)
        with suppress(TwinstackError):  # the topology may be gone, and with it the plan's names
            plan = self._world(self._lesson(session), services=False).plan
            parts = self._lesson(session).parts
            _run_all(plan, (command for part in parts for command in part.undo))

    def check(self) -> LessonReport:
        """Compare the lesson under way with its plan, and count that it was asked.

        Raises: Missing when none is; StepFailed when the kernel cannot be read.
        """
        require_root("course.check")
        with self._alone():
            session = self._under_way("course.check")
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
        session = self._under_way("course.grade")
        return self._report(session, self._finding(session))

    def _report(self, session: Session, finding: Finding) -> LessonReport:
        lesson = self._lesson(session)
        return LessonReport(
            session.day,
            lesson.title,
            session.student,
            finding,
            session.checks,
            round((time.time() - session.started) / 60, 1),
            {part: round(after / 60, 1) for part, after in session.done_after.items()},
            session.caught_up,
        )

    def _finding(self, session: Session) -> Finding:
        lesson = self._lesson(session)
        world = self._world(lesson, session.services)
        steps = world.planned()
        facts = observe.observe(world.plan, steps)
        parts = assigned(lesson, world.plan, steps)
        failed = [
            each.part.name
            for each in parts
            if not all(_succeeds(world.plan, probe) for probe in each.part.probes)
        ]
        return judged(parts, steps, by_hand.seen(facts, world.plan, steps), failed)

    def _finished(self, session: Session) -> bool:
        return session.caught_up or self._finding(session).complete

    def _lesson(self, session: Session) -> Lesson:
        return the_lesson(self.lessons, session.day)

    def solution(self, day: int | None = None) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """List each part of a lesson, of the one under way unless said, with its commands.

        Raises: WrongUse; Missing.
        """
        lesson = (
            self._lesson(self._under_way("course.solution"))
            if day is None
            else the_lesson(self.lessons, day)
        )
        world = self._world(lesson, services=False)
        steps = world.planned()
        return tuple(
            (each.part.name, solution_of(each, world.plan))
            for each in assigned(lesson, world.plan, steps)
        )

    def stop(self, *, progress: Progress) -> tuple[str, ...]:
        """End the lesson: what it made goes, and the world is as it was before the first.

        Works from any moment of any other task. Gives what was removed. Raises: Missing; as the
        world's `down` and `up`.
        """
        require_root("course.stop")
        with self._alone():
            session = self._under_way("course.stop")
            self._undo(session)
            former = session.former
            removed: tuple[str, ...] = ()
            if former.shape is None:
                removed = namespaces.down(self.instance, progress=progress)
            else:
                self.net(
                    former.shape,
                    limited=former.limited,
                    bare=former.bare,
                    policy=former.policy,
                    scale=former.scale,
                    releases=former.releases,
                ).up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
            files.remove(self._file)
        return removed

    def _write(self, session: Session) -> None:
        records.write(self._file, _JSON, session)


def solution_of(assignment: Assignment, plan: Plan) -> tuple[str, ...]:
    """List the commands that make a part, as a student would type them; pure."""
    commands = [command for step in assignment.steps for command in step.commands]
    typed = by_hand.plain(commands, assignment.part.only)
    return (*typed, *(written(plan, command) for command in assignment.part.solution))


def written(plan: Plan, command: str) -> str:
    """Put the plan's own names and addresses into a command; {{ and }} stand for braces; pure."""
    replicas = {replica.name: replica for replica in plan.replicas}
    return command.format_map({**replicas, "instance": plan.instance})


def _succeeds(plan: Plan, command: str) -> bool:
    words = ["bash", "-c", written(plan, command)]
    try:
        done = subprocess.run(
            words, capture_output=True, stdin=subprocess.DEVNULL, timeout=_PROBE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _run_all(plan: Plan, commands: Iterable[str]) -> None:
    for command in commands:
        _succeeds(plan, command)

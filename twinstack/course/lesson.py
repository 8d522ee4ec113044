"""What a lesson is: a subset of a plan's steps that a student builds by hand; pure.

A day is written as data, in a module of its own under `days`, and listed in `days/__init__.py`:

    DAY = Lesson(
        day=1,
        title="Namespaces and veth pairs by hand",
        parts=(
            Part("order-service's namespace", steps=("namespace order-service",)),
            Part("order-service's veth pair", steps=("veth ve-order",)),
        ),
    )

A part names the steps that it teaches as `net.plan` does (`kind object`; `*` stands for any rest; a
chain of ours by its suffix, `rules filter TO-order-service`, since its whole name holds the
instance). Nothing is written twice: the check of a part is each step's `difference(facts)`, its
solution each step's `commands`, its catch-up the world's own `up`. `course.start` takes the part's
objects away. With `only`, the student does only the commands that contain one of these words: the
object stays, and only what these commands do to it is taken away.

What no plan has is a part of another kind:

- `own` gives steps of the lesson's own (`own_step`): their commands make them, their looks show
  them. Beside `steps` they stand for those: a container made by hand for that of Compose.
- `question` and `answer`: the answer is a command that prints the truth, a line for each way to put
  it, when it is asked; the student finds out by himself and runs `invoke course.answer N TEXT`,
  where N is the part's number, from 1. In that command `{order-service.address}` (any field of the
  plan's replicas), `{instance}` and `{enter}` are replaced; `{enter}` is what runs a command on the
  lesson's host: nothing, or for the world "overlay" the words that enter `host`. A brace is written
  twice.

`course.start` must leave the rest whole: a bridge that goes takes its ports' membership along, so
its ports are a part too (see day 2). A test finds what was forgotten. In the world "docker" nothing
is taken away but by an own step's `undo`, since a container is the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from twinstack.course.own_step import OwnStep
from twinstack.errors import WrongUse
from twinstack.model import names
from twinstack.model.plan import Plan
from twinstack.reconcile import Step

AnyStep = Step[Any]
WorldOfLesson = Literal["net", "docker", "overlay"]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that the student makes, in his words."""

    name: str
    steps: tuple[str, ...] = ()  # names of the plan's steps
    only: tuple[str, ...] = ()  # words of the commands that are the student's; (): all of them
    own: Callable[[Plan], Iterable[OwnStep]] | None = None
    question: str = ""  # of a part that is answered
    answer: str = ""  # the command that prints the truth, a line for each way to put it


@dataclass(frozen=True, slots=True)
class Lesson:
    """One day: what is up while it lasts, and the parts that are not."""

    day: int
    title: str
    parts: tuple[Part, ...]
    world: WorldOfLesson = "net"
    host: str = ""  # of an overlay: the one on which the parts are
    shape: str = "flat"
    policy: bool = False  # the flows are enforced
    services: bool = False  # it cannot be done with the network alone

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"lesson {self.day}"


@dataclass(frozen=True, slots=True)
class Assignment:
    """A part with its steps: those of a plan that it chooses, or its own."""

    part: Part
    steps: tuple[AnyStep, ...]
    instead_of: tuple[AnyStep, ...] = ()  # steps of the plan

    @property
    def whole(self) -> bool:
        """Say whether its objects are the student's, or only some of the commands."""
        return not self.part.only


def assigned(lesson: Lesson, plan: Plan, steps: Sequence[AnyStep]) -> tuple[Assignment, ...]:
    """Find the steps of each part. Raises: WrongUse where the plan lacks one."""
    assignments = []
    for part in lesson.parts:
        chosen: list[AnyStep] = []
        for pattern in part.steps:
            found = [step for step in steps if _is_meant(pattern, step.name, plan.instance)]
            if not found:
                cause = f"the topology has no {pattern}"
                raise WrongUse(lesson.name, "cannot be taught", cause, "use the one that came here")
            chosen += (step for step in found if step not in chosen)
        if part.own:
            assignments.append(Assignment(part, tuple(part.own(plan)), tuple(chosen)))
        else:
            assignments.append(Assignment(part, tuple(chosen)))
    return tuple(assignments)


def own_steps(lesson: Lesson, plan: Plan) -> tuple[OwnStep, ...]:
    """List a lesson's own steps."""
    return tuple(step for part in lesson.parts if part.own for step in part.own(plan))


def _is_meant(pattern: str, name: str, instance: str) -> bool:
    if fnmatchcase(name, pattern):
        return True
    kind, _, rest = pattern.partition(" ")
    table, _, suffix = rest.partition(" ")
    return kind == "rules" and name == f"rules {table} {names.chain(instance, suffix)}"


def written(plan: Plan, command: str, enter: str = "") -> str:
    """Put the plan's own names and addresses into a command of a part."""
    replicas = {replica.name: replica for replica in plan.replicas}
    return command.format_map({**replicas, "instance": plan.instance, "enter": enter})


def the_lesson(lessons: Iterable[Lesson], day: int) -> Lesson:
    """Give the lesson of a day. Raises: WrongUse that lists the days there are."""
    present = {lesson.day: lesson for lesson in lessons}
    if day not in present:
        days = ", ".join(map(str, sorted(present)))
        raise WrongUse(f"lesson {day}", "does not exist", f"there are {days}", "choose one")
    return present[day]

"""What of a lesson is there, part by part, and what differs from the plan; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from twinstack.course import by_hand
from twinstack.course.lesson import AnyStep, Assignment
from twinstack.course.own_step import OwnStep, Printed
from twinstack.namespaces.process_steps import ReplicaProcess
from twinstack.namespaces.steps import Namespace

#: How a difference begins that continues the object's name into a sentence.
_CONTINUES = re.compile(r"(is|are|has|misses|lacks|would|was|does|belongs|runs) ")
_NOTHING: Mapping[str, str] = MappingProxyType({})
#: Kinds whose objects are known by their names alone.
_KNOWN_BY_NAME = ("veth ", "bridge ", "tunnel ")


@dataclass(frozen=True, slots=True)
class PartReport:
    """What of a part is there."""

    part: str
    done: bool
    differences: tuple[str, ...] = ()  # a sentence each


@dataclass(frozen=True, slots=True)
class LessonState:
    """What of a lesson is there, and of what it does not teach."""

    parts: tuple[PartReport, ...]
    rest: tuple[str, ...] = ()  # what the lesson does not teach, and is no more as planned
    waiting: tuple[str, ...] = ()  # replicas that do not run without the student's parts

    @property
    def complete(self) -> bool:
        return all(part.done for part in self.parts) and not self.rest


def sentence(name: str, reason: str) -> str:
    """Say how a step's object differs: "ve-order is up but not on br-app"."""
    for kind in _KNOWN_BY_NAME:
        name = name.removeprefix(kind)
    return f"{name} {reason}" if _CONTINUES.match(reason) else f"{name}: {reason}"


def differences(
    steps: Iterable[AnyStep], facts: Any, printed: Printed = _NOTHING
) -> tuple[str, ...]:
    """Say how each step that is not done differs from facts as the lesson's ground gives them.

    `printed`: by the looks of the lesson's own steps.
    """

    def difference(step: AnyStep) -> str | None:
        if isinstance(step, OwnStep):
            return step.difference(printed)
        if reason := by_hand.made_otherwise(step, facts):
            return reason
        reason, found = step.difference(facts), by_hand.unplanned(step, facts)
        # What is the student's own is quoted; what is missing would be the answer.
        return f"{reason}: {'; '.join(found)}" if reason and found else reason

    return tuple(
        sentence(step.name, reason) for step in steps if (reason := difference(step)) is not None
    )


def judged(
    assignments: Sequence[Assignment],
    steps: Sequence[AnyStep],
    facts: Any,
    missing: Mapping[str, str] = _NOTHING,
    printed: Printed = _NOTHING,
) -> LessonState:
    """Judge a lesson by facts as its ground gives them; `missing`: by part, what no step says.

    `printed`: as `differences`.
    """
    parts = []
    for assignment in assignments:
        found = differences(assignment.steps, facts, printed)
        if said := missing.get(assignment.part.name):
            found = (*found, said)
        parts.append(PartReport(assignment.part.name, not found, found))
    dependent = dependents(assignments, steps)
    taught = {step for each in assignments for step in (*each.steps, *each.instead_of)}
    rest = [step for step in steps if step not in taught and step not in dependent]
    waiting = [step.replica for step in dependent if step.difference(facts)]
    return LessonState(tuple(parts), differences(rest, facts), tuple(waiting))


def dependents(
    assignments: Sequence[Assignment], steps: Sequence[AnyStep]
) -> tuple[ReplicaProcess, ...]:
    """List the processes that cannot run before the student has made their namespaces."""
    chosen = [step for assignment in assignments for step in assignment.steps]
    made = {step.namespace for step in chosen if isinstance(step, Namespace)}
    return tuple(
        step
        for step in steps
        if isinstance(step, ReplicaProcess) and step.namespace in made and step not in chosen
    )

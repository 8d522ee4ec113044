"""What is recorded of the lesson under way, under /run/twinstack/INSTANCE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, with_config

from twinstack.course.kernel import PlanNames
from twinstack.linux import files
from twinstack.state import records
from twinstack.state.paths import InstancePaths


@with_config(ConfigDict(strict=True, extra="forbid"))
@dataclass(frozen=True, slots=True)
class LessonUnderWay:
    """What is recorded of the lesson under way."""

    day: int
    noted: PlanNames
    former: str  # how its world was up before the first lesson in it; "": it was not
    services: bool = True
    student: str = ""
    started: float = 0.0  # seconds since 1970
    checks: int = 0
    done_after: Mapping[str, float] = field(default_factory=dict)  # part → seconds since then
    answers: Mapping[str, str] = field(default_factory=dict)  # part → what the student answered
    caught_up: bool = False  # we did it


_JSON = TypeAdapter(LessonUnderWay)


def path(instance: str) -> Path:
    """Give the record's file."""
    return InstancePaths(instance).run / "course.json"


def read(instance: str) -> LessonUnderWay | None:
    """Read what is under way. Raises: CannotTell."""
    return records.read(path(instance), _JSON, "look at it, then remove it")


def write(instance: str, lesson: LessonUnderWay) -> None:
    """Record what is under way, whole or not at all. Raises: OSError."""
    records.write(path(instance), _JSON, lesson)


def remove(instance: str) -> None:
    """Record that nothing is. Raises: OSError."""
    files.remove(path(instance))

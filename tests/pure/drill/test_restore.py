"""A world that cannot be read is brought up all the same: its engine may have been killed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twinstack.drill.difference import Difference
from twinstack.drill.restore import Restorer
from twinstack.drill.snapshot import Snapshot
from twinstack.errors import StepFailed


@dataclass(frozen=True)
class Killed(Restorer):
    """A world whose engine does not answer until it is brought up."""

    done: list[str] = field(default_factory=list)

    def _tidy(self) -> None:
        if "up" not in self.done:
            raise StepFailed("docker ps", "exited 1", "cannot connect")
        self.done.append("tidied")

    def _up(self) -> None:
        self.done.append("up")

    def differing(self) -> tuple[Difference, ...]:
        return ()


def test_an_engine_that_was_killed_does_not_keep_the_world_from_being_brought_up() -> None:
    world: Any = None
    said: list[str] = []
    killed = Killed(world, Snapshot({}, {}), said.append, 1.0, lambda: None)
    assert killed.restore() == ()
    assert killed.done == ["up", "tidied"]
    assert said == ["docker ps: exited 1: cannot connect"]

"""What came of a tour, as data and as the lines at its end. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from twinstack.printable import counted
from twinstack.tour.run import RanCommand


@dataclass(frozen=True, slots=True)
class ShownScreen:
    """A screen of the tour, and what came of its commands."""

    name: str
    title: str
    world: str
    commands: tuple[RanCommand, ...]


@dataclass(frozen=True, slots=True)
class TourReport:
    """A walk through the stack. Units: seconds."""

    screens: tuple[ShownScreen, ...]
    left_out: tuple[str, ...]  # screens of a world that is not up
    brought_up: bool  # by the tour, which then took it down
    seconds: float

    @property
    def unexpected(self) -> list[RanCommand]:
        """The commands that did not exit as they should."""
        commands = (command for screen in self.screens for command in screen.commands)
        return [command for command in commands if not command.as_expected]


def text(report: TourReport) -> str:
    """Say what was not as it should be, what was left out, and how long all of it took."""
    failed = [f"exited {ran.exit_code}, unexpected: {ran.command}" for ran in report.unexpected]
    absent = [f"left out, as its world is not up: {name}" for name in report.left_out]
    end = f"{counted(len(report.screens), 'screen')} in {report.seconds:g} s"
    return "\n".join(["", *failed, *absent, end])

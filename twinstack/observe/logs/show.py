"""A line of a log as it is printed: after its replica's name, or as a JSON document; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from twinstack.observe.logs.choice import LogLine
from twinstack.observe.logs.line import written
from twinstack.printable import visible_lines

#: SGR codes that can be read on a dark and on a light ground. Source: ECMA-48, 8.3.117.
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)  # red would look like an error


@dataclass(frozen=True, slots=True)
class Columns:
    """How names are set: one width, a colour for each service."""

    width: int
    services: tuple[str, ...]  # in the plan's order; empty: without colours

    def text(self, line: LogLine) -> str:
        """Format a line, with nothing in it that is a command to the terminal."""
        name = f"{line.replica:<{self.width}} |"
        if line.service in self.services:
            colour = _COLOURS[self.services.index(line.service) % len(_COLOURS)]
            name = f"\x1b[{colour}m{name}\x1b[0m"
        return f"{name} {visible_lines(line.text)}"


def columns(replicas: Collection[str], services: tuple[str, ...], *, coloured: bool) -> Columns:
    """Set the names of these replicas."""
    width = max(map(len, replicas), default=0)
    return Columns(width, services if coloured else ())


@dataclass(frozen=True, slots=True)
class LogDocument:
    """A line as a JSON document; what it does not say is null."""

    time: str | None  # 2026-11-29T10:00:00.123Z
    replica: str
    service: str
    level: str | None
    request: str | None
    text: str  # as it was written


def document(line: LogLine) -> LogDocument:
    """Give a line as a JSON document."""
    return LogDocument(
        None if line.time is None else written(line.time),
        line.replica,
        line.service,
        line.level or None,
        line.request or None,
        line.text,
    )


def is_coloured(*, terminal: bool, environment: Mapping[str, str]) -> bool:
    """Tell whether colours are wanted. Source: no-color.org."""
    return terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"

"""The logs of a world as its tasks show them: options, printing, following."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from front.reporting import as_json, say, task
from twinstack.errors import Missing, TwinstackError
from twinstack.model import bounds

if TYPE_CHECKING:  # listing the tasks loads no model
    from twinstack.observe.logs.choice import LineFilter, LogLine
    from twinstack.observe.logs.reading import LogReading
    from twinstack.world import Logged

_LINES = 50
HELP = {
    "service": "the services or replicas; unset: all; a task's name is the next task",
    "lines": "how many of the last lines of each replica to show; unset: 50, or all since --since",
    "follow": "go on with what is written from now on, until Ctrl-C",
    "since": "only lines since then: 30s, 10m, 2h, 7d ago, or 2026-11-29T10:00:00Z",
    "level": "only lines of that level or worse, and those without one: debug, info, notice,"
    " warning, error or critical",
    "request": "only the lines of the request with this id (X-Request-ID), through all services",
    "json": "print each line as one JSON document: time, replica, service, level, request, text",
}


def declared(more: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Declare how a logs task takes its options; `more` is the help of its own ones."""
    return {"positional": ["service"], "iterable": ["service"], "help": {**HELP, **more}}


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What is asked of a world's logs, as given."""

    services: Sequence[str]
    lines: int | None
    follow: bool
    since: str
    level: str
    request: str
    json: bool

    @property
    def last(self) -> int | None:
        """Give how many lines of each are shown; None: all."""
        return _LINES if self.lines is None and not self.since else self.lines

    def check(self) -> LineFilter:
        """Read which lines are shown. Raises: WrongUse."""
        from twinstack.observe.logs.choice import LineFilter, level_of, since_of

        if self.lines is not None:
            bounds.lines(self.lines)
        since = since_of(self.since, time.time())
        return LineFilter(since, level_of(self.level), self.request)


def task_of(name: str, find: Callable[[], tuple[Logged, TwinstackError | None]]) -> Any:
    """Declare the task of the world `name`; `find` gives that, and the error if it is not up."""

    @task(**declared())
    def logs(
        _: Context,
        service: list[str],
        lines: int | None = None,
        follow: bool = False,
        since: str = "",
        level: str = "",
        request: str = "",
        json: bool = False,
    ) -> None:
        """Show logs, merged in order of time: all of them, or those of some services."""
        asked = LogOptions(service, lines, follow, since, level, request, json)
        asked.check()
        world, absence = find()
        show(world, asked, name, absence)

    return logs


def show(
    world: Logged, asked: LogOptions, name: str, absence: TwinstackError | None = None
) -> None:
    """Show logs in order of time; with `absence`, which says that it is not up, what was kept.

    Raises: WrongUse; `absence`; Missing when no replica that is asked for is there.
    """
    from twinstack.observe.logs.choice import chosen
    from twinstack.observe.logs.reading import LogReading

    lines = asked.check()
    reading = LogReading(world, chosen(world.plan, asked.services), lines, asked.last)
    names = ", ".join(asked.services)
    if absence and asked.follow:
        raise absence
    if not reading.open():
        raise absence or Missing(
            names or f"{name} world", "is not there", "", f"run: invoke {name}.up"
        )
    text = _format(world, reading, asked.json)
    shown = _print(reading.lines(follow=asked.follow), text)
    if not shown and not absence:
        some = bool(lines.hides or lines.since)
        say(f"{names or 'every service'}: nothing {'like that ' if some else ''}is logged")
    if asked.follow:
        for new in reading.follow():
            _print(new, text)
    if absence:
        raise absence


def _print(lines: Iterable[LogLine], text: Callable[[LogLine], str]) -> int:
    """Print lines, and give how many there were."""
    count = 0
    for line in lines:
        print(text(line))
        count += 1
    if count:
        sys.stdout.flush()
    return count


def _format(world: Logged, reading: LogReading, json: bool) -> Callable[[LogLine], str]:
    """Give what writes a line for this output."""
    from twinstack.observe.logs.show import columns, document, is_coloured

    if json:
        return lambda line: as_json(document(line))
    services = tuple(dict.fromkeys(replica.service for replica in world.plan.replicas))
    coloured = is_coloured(terminal=sys.stdout.isatty(), environment=os.environ)
    return lambda line: columns(reading.replicas, services, coloured=coloured).text(line)

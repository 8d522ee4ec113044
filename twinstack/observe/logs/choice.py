"""Which replicas' logs are asked for, and which lines of them; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twinstack.errors import WrongUse
from twinstack.observe.logs.line import LEVELS, LineFacts, facts, moment
from twinstack.world import LogRecord, LogSearch, LogVerdict

if TYPE_CHECKING:
    from twinstack.world import Declared

#: nginx gathers a second of its lines, so those of one log may be so far out of order.
_OUT_OF_ORDER_S = 5.0
_LENGTH = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")
_UNITS_S = (86_400, 3_600, 60, 1)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, as it is shown."""

    time: float | None  # its own, else the engine's, else that of the line before it
    replica: str
    service: str
    level: str
    request: str
    text: str


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Which lines are shown. A line without a level is never hidden by one: it may be a crash."""

    since: float | None = None  # seconds since 1970
    level: str = ""  # that or worse
    request: str = ""  # the id of a request

    @property
    def hides(self) -> bool:
        """Tell whether it chooses among lines of the same time."""
        return bool(self.level or self.request)

    def shows(self, line: LineFacts) -> bool:
        """Tell whether a line is shown, its time aside."""
        if self.request and line.request != self.request:
            return False
        return not (self.level and line.level) or _severity(line.level) >= _severity(self.level)

    def judge(self, record: LogRecord) -> LogVerdict:
        """Judge a line by itself, for whoever looks for where to begin."""
        if self.request and self.since is None and self.request not in record.text:
            return "hidden"  # the same as below, and ten times as fast
        line = facts(record.text)
        time = record.received if line.time is None else line.time
        if self.since is not None and time is not None and time < self.since - _OUT_OF_ORDER_S:
            return "too old"
        if self.hides and line.goes_on:
            return "goes on"
        return "shown" if self.shows(line) else "hidden"

    def search(self, last: int | None, *, follow: bool) -> LogSearch:
        """Give what a log's reader is asked for."""
        return LogSearch(self.judge, last, self.since, self.hides, follow)


@dataclass(slots=True)
class ReplicaLines:
    """Makes lines of one replica's records, and knows the line before."""

    replica: str
    service: str
    chosen: LineFilter
    _time: float | None = field(default=None, init=False)
    _shown: bool = field(default=True, init=False)

    def lines(self, records: Iterable[LogRecord]) -> Iterator[LogLine]:
        """Give those that are shown."""
        for record in records:
            said = facts(record.text)
            own = record.received if said.time is None else said.time
            self._time = self._time if own is None else own
            if not said.goes_on:
                self._shown = self._new_enough() and self.chosen.shows(said)
            if self._shown:
                yield LogLine(
                    self._time, self.replica, self.service, said.level, said.request, record.text
                )

    def _new_enough(self) -> bool:
        since = self.chosen.since
        return since is None or self._time is None or self._time >= since


@dataclass(frozen=True, slots=True)
class Chosen:
    """Services, and replicas, whose logs are asked for."""

    plan: Declared
    services: frozenset[str]
    replicas: frozenset[str]

    def service_of(self, replica: str) -> str | None:
        """Give the service of a replica that is chosen, also of one that is not declared (yet)."""
        for known in self.plan.replicas:
            if known.name == replica:
                mine = replica in self.replicas or known.service in self.services
                return known.service if mine else None
        service, _, number = replica.rpartition("-")
        return service if number.isdigit() and service in self.services else None

    @property
    def declared(self) -> tuple[str, ...]:
        """Name the declared replicas that are chosen, in the plan's order."""
        return tuple(each.name for each in self.plan.replicas if self.service_of(each.name))


def chosen(plan: Declared, names: Sequence[str]) -> Chosen:
    """Choose services and replicas by their names; none means all. Raises: WrongUse."""
    services = {replica.service for replica in plan.replicas}
    for name in names:
        if name not in services:
            plan.replica(name)
    of = frozenset(names)
    return Chosen(plan, of & services if names else frozenset(services), of - services)


def level_of(text: str) -> str:
    """Read --level. Raises: WrongUse."""
    level = {"warn": "warning", "crit": "critical"}.get(text.lower(), text.lower())
    if level and level not in LEVELS:
        cause = f"it is {', '.join(LEVELS[:-1])} or {LEVELS[-1]}"
        raise WrongUse("--level", f"cannot be {text}", cause, "choose one of them")
    return level


def since_of(text: str, now: float) -> float | None:
    """Read --since: 30s, 10m, 2h, 1h30m, 7d before `now`, or a moment. Raises: WrongUse."""
    if not text:
        return None
    if found := _LENGTH.fullmatch(text):
        counts = (int(count or 0) for count in found.groups())
        return now - sum(n * unit for n, unit in zip(counts, _UNITS_S, strict=True))
    read = moment(text)
    if read is None:
        cause = "it is a time ago (30s, 10m, 2h, 7d) or a moment in UTC (2026-11-29T10:00:00Z)"
        raise WrongUse("--since", f"cannot be {text}", cause, "choose another")
    return read


def _severity(level: str) -> int:
    return LEVELS.index(level)

"""Logs in order of time; pure, and one line of each log at a time."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator

from twinstack.observe.logs.choice import LogLine

#: nginx's errors overtake up to 16 KB of its access log, threads each other by a line or two.
_OVERTAKEN = 256


def merged(logs: Iterable[Iterable[LogLine]]) -> Iterator[LogLine]:
    """Merge logs, each of them nearly in order."""
    return heapq.merge(*map(_in_order, logs), key=when)


def _in_order(lines: Iterable[LogLine]) -> Iterator[LogLine]:
    held: list[tuple[float, int, LogLine]] = []
    for number, line in enumerate(lines):
        entry = (when(line), number, line)
        if len(held) < _OVERTAKEN:
            heapq.heappush(held, entry)
        else:
            yield heapq.heappushpop(held, entry)[2]
    while held:
        yield heapq.heappop(held)[2]


def when(line: LogLine) -> float:
    """Give what lines are ordered by: what has no time comes first."""
    return -math.inf if line.time is None else line.time

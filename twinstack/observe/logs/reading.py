"""Read the chosen logs of a world in order of time, and follow them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from twinstack.observe.logs.choice import Chosen, LineFilter, LogLine, ReplicaLines
from twinstack.observe.logs.merge import merged, when
from twinstack.world import Logged, LogReader

_LOOK_S = 0.2
#: How often a replica that came is looked for.
_NAMES_S = 1.0


class LogReading:
    """One reading of a world's logs: what is there, then what comes."""

    def __init__(self, world: Logged, chosen: Chosen, lines: LineFilter, last: int | None) -> None:
        self._world = world
        self._chosen = chosen
        self._filter = lines
        self._last = last
        self._open: dict[str, tuple[ReplicaLines, LogReader]] = {}

    @property
    def replicas(self) -> tuple[str, ...]:
        """Name the replicas that are read."""
        return tuple(self._open)

    def open(self) -> tuple[str, ...]:
        """Find the declared replicas that have a log, and name them. Raises: Missing."""
        names = set(self._world.log_names())
        for name in self._chosen.declared:
            if name in names:
                self._begin(name)
        return self.replicas

    def lines(self, *, follow: bool) -> Iterator[LogLine]:
        """Give what is there, the last lines of each."""
        search = self._filter.search(self._last, follow=follow)
        return merged([made.lines(reader.read(search)) for made, reader in self._open.values()])

    def follow(self) -> Iterator[list[LogLine]]:
        """Give what comes, look by look; without an end."""
        for name in self._world.log_names():  # of what is declared no longer only what comes now
            if reader := self._begin(name):
                list(reader.read(self._filter.search(0, follow=True)))
        next_names_s = time.monotonic() + _NAMES_S
        while True:
            if time.monotonic() >= next_names_s:
                next_names_s = time.monotonic() + _NAMES_S
                for name in self._world.log_names():
                    self._begin(name)
            new = (made.lines(reader.follow()) for made, reader in self._open.values())
            yield sorted((line for lines in new for line in lines), key=when)
            time.sleep(_LOOK_S)

    def _begin(self, name: str) -> LogReader | None:
        """Open a replica's log if it is chosen and was not yet."""
        service = None if name in self._open else self._chosen.service_of(name)
        if service is None:
            return None
        reader = self._world.log_reader(name)
        self._open[name] = (ReplicaLines(name, service, self._filter), reader)
        return reader

"""Several files as one: their interfaces are numbered, their packets merged in the order of time.

Files name their interfaces, but every namespace has an eth0, while the parts of a rotated capture
are of one interface. So interfaces of one name in two files are one interface when the files are
parts of one capture: their paths differ in digits only (a number, a date) and they do not overlap
in time. Otherwise a name is shown with its file's path. No file is read further than needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np

from twinstack.observe.traffic.packets import Packets
from twinstack.observe.traffic.report import InterfaceTraffic

Source = Iterator[Packets]


@dataclass(slots=True)
class FileSpan:
    """A file, and the time that it spans as far as it was read.

    Files are begun in the order of their first packets; of those that are open, one is read until
    it ends, or is past the beginning of the next (`merge`).
    """

    path: Path
    begins_ns: int  # 0: it has no packet
    until_ns: int = 0  # the latest packet so far

    def follows(self, other: FileSpan) -> bool:
        """Decide whether nothing in this file is as early as the end of the other one."""
        if not self.begins_ns or not other.begins_ns:
            return True
        return other.begins_ns < self.begins_ns and other.until_ns <= self.begins_ns


@dataclass(slots=True)
class InterfaceCounts:
    """What was seen at one interface, in all files that are parts of its capture."""

    name: str
    path: Path  # of the first file
    latest: FileSpan  # the last part so far
    packets: int = 0
    bytes: int = 0
    cut: int = 0
    dropped: int = 0


class InterfaceRegistry:
    """Numbers interfaces over all files."""

    def __init__(self) -> None:
        self.counts: list[InterfaceCounts] = []
        self._namesakes: dict[tuple[str, str], list[int]] = {}

    def number(self, name: str, file: FileSpan) -> int:
        """Give the number of a file's interface of this name; call it for each part."""
        key = (name, re.sub(r"\d+", "0", str(file.path)))
        namesakes = self._namesakes.setdefault(key, [])
        for number in namesakes:
            if self.counts[number].latest is file:
                return number
        before = [number for number in namesakes if file.follows(self.counts[number].latest)]
        if before:  # several captures pause at the time: the one whose path is most alike
            number = max(before, key=lambda n: _shared(self.counts[n].latest.path, file.path))
            if file.begins_ns:
                self.counts[number].latest = file
            return number
        namesakes.append(len(self.counts))
        self.counts.append(InterfaceCounts(name, file.path, file))
        return namesakes[-1]

    def traffic(self) -> tuple[InterfaceTraffic, ...]:
        """Report each interface, named with as much of its path as it takes to be unique."""
        paths: dict[str, list[Path]] = {}
        for counts in self.counts:
            paths.setdefault(counts.name, []).append(counts.path)
        depth = {name: _depth(namesakes) for name, namesakes in paths.items()}
        rows = []
        for counts in self.counts:
            name = counts.name
            if len(paths[name]) > 1:
                name = f"{_tail(counts.path, depth[name])}: {name}"
            figures = counts.packets, counts.bytes, counts.cut, counts.dropped
            rows.append(InterfaceTraffic(name, *figures))
        return tuple(rows)


def _shared(path: Path, other: Path) -> int:
    letters = zip(str(path), str(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], letters))


def _depth(paths: list[Path]) -> int:
    """Give how many parts of each path, from its end, tell them apart."""
    longest = max(len(path.parts) for path in paths)
    for depth in range(1, longest):
        if len({_tail(path, depth) for path in paths}) == len(paths):
            return depth
    return longest


def _tail(path: Path, depth: int) -> Path:
    return Path(*path.parts[-depth:])


@dataclass(slots=True)
class _OpenSource:
    """A source, and what was read of it and not yet passed on."""

    source: Source
    waiting: Packets | None = None
    until_ns: int = 0  # the latest time that waits

    def fill(self) -> bool:
        """Read until something waits; False at the end of the source."""
        while self.waiting is None or not len(self.waiting):
            packets = next(self.source, None)
            if packets is None:
                return False
            self.waiting = packets
            self.until_ns = int(packets.time_ns.max()) if len(packets) else 0
        return True

    def take(self, until_ns: int) -> Packets | None:
        """Take the packets up to this time."""
        assert self.waiting is not None
        if self.until_ns <= until_ns:
            taken, self.waiting = self.waiting, None
            return taken
        early = self.waiting.time_ns <= until_ns
        if not early.any():
            return None
        taken, self.waiting = self.waiting.take(early), self.waiting.take(~early)
        return taken


def merged(sources: Sequence[tuple[int, Callable[[], Source]]]) -> Iterator[Packets]:
    """Yield the packets of all sources: sorted by time within each batch and, if every source is
    sorted, over all. Each source comes with the time of its first packet, and is opened when all
    open ones are past that time or at their end.
    """
    ahead = sorted(sources, key=lambda source: source[0])[::-1]
    opened: list[_OpenSource] = []
    while ahead or opened:
        if not opened:
            opened.append(_OpenSource(ahead.pop()[1]()))
        opened = [source for source in opened if source.fill()]
        if not opened:
            continue
        until_ns = min(source.until_ns for source in opened)
        if ahead and ahead[-1][0] < until_ns:
            opened.append(_OpenSource(ahead.pop()[1]()))
            continue
        parts = [taken for source in opened if (taken := source.take(until_ns)) is not None]
        packets = Packets.join(parts)
        if len(parts) > 1 or bool((packets.time_ns[1:] < packets.time_ns[:-1]).any()):
            packets = packets.take(np.argsort(packets.time_ns, kind="stable"))
        yield packets

"""Number the interfaces of several files, and count what each one saw.

Files name their interfaces, but every namespace has an eth0, while the parts of a rotated capture
are of one interface. So interfaces of one name in two files are one interface when the files are
parts of one capture: their paths differ in digits only (a number, a date) and they do not overlap
in time. Otherwise a name is shown with its file's path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from twinstack.observe.traffic.report import InterfaceTraffic


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

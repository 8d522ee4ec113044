"""Which interface a packet of several files was seen at, and what each one saw.

Files tell interfaces apart by name only, and every namespace has an eth0; the parts of a rotated
capture, on the other hand, are of one interface. So two files are taken for parts of one capture,
and what they call alike for one interface, when their paths differ in digits only (a number, a
date) and they do not overlap in time. Else a name is told with its file's path.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path


@dataclass(slots=True)
class FileSpan:
    """A file that is read. Units: nanoseconds, of its first packet and the latest so far; 0: none.

    Files are begun in the order of their first packets, and of those before it one is read on
    until it has ended, or got past the new one's beginning (`merge`).
    """

    path: Path
    begins_ns: int
    until_ns: int = 0

    def follows(self, other: FileSpan) -> bool:
        """Tell whether nothing of this file is as early as what the other one ends with."""
        if not self.begins_ns or not other.begins_ns:
            return True
        return other.begins_ns < self.begins_ns and other.until_ns <= self.begins_ns


@dataclass(slots=True)
class InterfaceCounts:
    """What was seen at one interface. `path` is that of the first file, `latest` the last part."""

    name: str
    path: Path
    latest: FileSpan
    packets: int = 0
    bytes: int = 0
    cut: int = 0
    dropped: int = 0


class InterfaceRegistry:
    """Numbers interfaces over all files."""

    def __init__(self) -> None:
        self.seen: list[InterfaceCounts] = []
        self._alike: dict[tuple[str, str], list[int]] = {}

    def number(self, name: str, file: FileSpan) -> int:
        """Give the number of what a file calls so; it is asked for anew with every part."""
        alike = self._alike.setdefault((name, re.sub(r"\d+", "0", str(file.path))), [])
        for number in alike:
            if self.seen[number].latest is file:
                return number
        before = [number for number in alike if file.follows(self.seen[number].latest)]
        if before:  # of several captures that paused meanwhile, the one that is called most alike
            number = max(before, key=lambda one: _shared(self.seen[one].latest.path, file.path))
            if file.begins_ns:
                self.seen[number].latest = file
            return number
        alike.append(len(self.seen))
        self.seen.append(InterfaceCounts(name, file.path, file))
        return alike[-1]

    def labels(self) -> list[str]:
        """Name every interface: with as much of its path as tells it from others of its name."""
        often = Counter(one.name for one in self.seen)
        paths: dict[str, list[Path]] = {}
        for one in self.seen:
            if often[one.name] > 1:
                paths.setdefault(one.name, []).append(one.path)
        depth = {name: _depth(alike) for name, alike in paths.items()}
        return [
            f"{_end(one.path, depth[one.name])}: {one.name}" if one.name in depth else one.name
            for one in self.seen
        ]


def _shared(one: Path, other: Path) -> int:
    letters = zip(str(one), str(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], letters))


def _depth(paths: list[Path]) -> int:
    """Give how many parts of each path, from its end, tell them apart."""
    most = max(len(path.parts) for path in paths)
    return next(
        (
            depth
            for depth in range(1, most)
            if len({_end(path, depth) for path in paths}) == len(paths)
        ),
        most,
    )


def _end(path: Path, depth: int) -> Path:
    return Path(*path.parts[-depth:])

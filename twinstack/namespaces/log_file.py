"""A replica's log file: read from its end, then followed, through rotations.

templates/rotate.sh.j2 copies FILE to FILE.1 and empties FILE in place, so FILE is always the same
file. Bytes that we read tell whether it was emptied since: others stand in their place, or none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from twinstack.world import LogRecord, LogSearch

_BLOCK = 65_536
#: A longer line is given in parts.
_LONGEST = 1_000_000
#: Of one look at a file that grows.
_AT_ONCE = 4_000_000
_MARK = 64


def rotated(path: Path) -> Path:
    """Name the file that a log is copied to before it is emptied."""
    return path.with_name(f"{path.name}.1")


class LogFile:
    """The log in a file and in its rotated part."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0  # of the first byte that is not read yet
        self._mark_at = 0
        self._mark = b""  # the bytes there, when they were read

    def read(self, search: LogSearch) -> Iterator[LogRecord]:
        """Find the first line that is needed, from the end; give it and all after it."""
        with ExitStack() as stack:
            current = _opened(self._path, stack)
            if current is None:
                return
            earlier = _opened(rotated(self._path), stack)
            files = (current,) if earlier is None else (current, earlier)
            file, offset = _first_needed(files, search)
            self._stand_at(current, offset if file is current else 0)
            if file is not current:
                yield from _rest_of(file, offset)
        yield from self._new(whole=search.follow)

    def follow(self) -> Iterator[LogRecord]:
        """Give the whole lines that were written since, or the first 4 MB of them."""
        return self._new(whole=True, most=_AT_ONCE)

    def _new(self, *, whole: bool, most: int | None = None) -> Iterator[LogRecord]:
        with ExitStack() as stack:
            current = _opened(self._path, stack)
            if current is None:
                return
            if not self._continues(current):
                earlier = _opened(rotated(self._path), stack)
                if earlier is not None:
                    yield from _rest_of(earlier, self._offset if self._continues(earlier) else 0)
                self._stand_at(current, 0)
            current.seek(self._offset)
            end = None if most is None else self._offset + most
            while (end is None or self._offset < end) and (line := current.readline(_LONGEST)):
                if whole and not line.endswith(b"\n") and len(line) < _LONGEST:
                    return
                self._offset += len(line)
                self._mark = line[-_MARK:]
                self._mark_at = self._offset - len(self._mark)
                yield _record(line)

    def _stand_at(self, file: BinaryIO, offset: int) -> None:
        self._offset, self._mark_at = offset, max(0, offset - _MARK)
        self._mark = os.pread(file.fileno(), _MARK, self._mark_at)

    def _continues(self, file: BinaryIO) -> bool:
        """Tell whether a file still holds what was read."""
        if _size(file) < self._offset:
            return False
        return os.pread(file.fileno(), len(self._mark), self._mark_at) == self._mark


def lines_backwards(file: BinaryIO, end: int) -> Iterator[tuple[int, bytes]]:
    """Give each line before `end` with its offset, the last first.

    Takes the memory of a block and a line, however large the file is.
    """
    position = end
    rest = b""  # what stands at `position`; its line may begin earlier
    while position > 0:
        size = min(_BLOCK, position)
        position -= size
        rest, *lines = (os.pread(file.fileno(), size, position) + rest).split(b"\n")
        offset = position + len(rest) + sum(len(line) + 1 for line in lines)
        for line in reversed(lines):
            offset -= len(line)
            if offset < end:  # else it is the nothing after the last line
                yield offset, line
            offset -= 1
        if len(rest) > _LONGEST and position:
            yield position, rest
            rest = b""
    if end:
        yield 0, rest


def _first_needed(files: tuple[BinaryIO, ...], search: LogSearch) -> tuple[BinaryIO, int]:
    """Say in which of the files, the newest first, and at which offset a search begins."""
    found = (files[0], _end(files[0], whole=search.follow))
    left = search.last
    for file in files:
        if left == 0:
            break
        for offset, line in lines_backwards(file, found[1] if file is files[0] else _size(file)):
            verdict = search.judge(_record(line))
            if verdict == "too old":
                return found
            if verdict == "shown":
                found = (file, offset)
                left = None if left is None else left - 1
                if left == 0:
                    break
    return found


def _end(file: BinaryIO, *, whole: bool) -> int:
    """Say where a file's last line ends; `whole`: the last one that is complete."""
    size = _size(file)
    if whole and size and os.pread(file.fileno(), 1, size - 1) != b"\n":
        return next(lines_backwards(file, size))[0]
    return size


def _rest_of(file: BinaryIO, offset: int) -> Iterator[LogRecord]:
    file.seek(offset)
    while line := file.readline(_LONGEST):
        yield _record(line)


def _record(line: bytes) -> LogRecord:
    return LogRecord(line.removesuffix(b"\n").decode(errors="replace"))


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _opened(path: Path, stack: ExitStack) -> BinaryIO | None:
    try:
        return stack.enter_context(path.open("rb"))
    except FileNotFoundError:
        return None

"""The files of one link's capture: bounded, rotated, and whole whatever the disk does."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from twinstack.errors import WrongUse
from twinstack.linux.packet_ring import Ring
from twinstack.observe.capture import pcapng_writer
from twinstack.observe.capture.report import LinkCapture
from twinstack.observe.capture.targets import CaptureOptions, description, file_name, label
from twinstack.world import Link

#: Why packets that came were not kept.
FULL, UNWRITABLE = "the file was full", "the file could not be written"

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class LinkFiles:
    """Writes a ring's blocks to files, one after the other."""

    link: Link
    folder: Path
    options: CaptureOptions
    ring: Ring
    kept: list[tuple[Path, int]] = field(default_factory=list)  # each file, and its packets
    packets: int = 0
    bytes: int = 0
    discarded: int = 0
    unkept: int = 0
    unwritable: str = ""
    _full: bool = False
    _fd: int = -1
    _number: int = 0
    _room: int = 0  # bytes left in the current file
    _in_file: int = 0  # packets in it
    _dropped_before: int = 0  # the ring's drops, up to the last file's end

    def write(self, memory: memoryview, count: int, at: int) -> None:
        """Write a block of the ring; a file that cannot be written ends its link's capture."""
        data, wire_bytes = pcapng_writer.packets(memory, count, at)
        try:
            if not self._has_room(len(data)):
                self.unkept += count
                return
            _write(self._fd, data)
        except OSError as error:
            self._give_up(error)
            self.unkept += count
            return
        self._room -= len(data)
        self._in_file += count
        self.packets += count
        self.bytes += wire_bytes

    def _has_room(self, size: int) -> bool:
        """Check that so much may be written; begins the next file where this one is full.

        Raises: OSError.
        """
        if self._full or self.unwritable:
            return False
        if size <= self._room or not self._in_file:
            return True
        if self.options.files == 1:
            self._full = True  # a smaller block might still fit: it would leave a gap in time
            return False
        self.end()
        if not self.unwritable:
            self.begin()
        return not self.unwritable

    def _give_up(self, error: OSError) -> None:
        """Cut an incomplete write off: what was written before stays whole."""
        self.unwritable = f"cannot be written: {error.strerror}"
        if self._fd >= 0:
            os.ftruncate(self._fd, self.options.size - self._room)
            self._close()

    def begin(self) -> None:
        """Begin a file, and remove the oldest if that is one too many.

        Raises: OSError, and then leaves no file without a header; WrongUse.
        """
        self._number += 1
        path = self.folder / file_name(self.link, self._number, self.options)
        try:
            self._fd = os.open(path, _FLAGS, 0o600)
        except FileExistsError as error:
            cause, remedy = "it exists already", "choose another folder with --out"
            raise WrongUse(str(path), "is not overwritten", cause, remedy) from error
        snap = self.options.snap
        head = pcapng_writer.header(label(self.link), description(self.link), snap)
        self._room, self._in_file = self.options.size - len(head), 0
        try:
            _write(self._fd, head)
        except OSError:
            os.close(self._fd)
            self._fd = -1
            path.unlink(missing_ok=True)
            raise
        self.kept.append((path, 0))
        if len(self.kept) > self.options.files:
            oldest, count = self.kept.pop(0)
            oldest.unlink(missing_ok=True)
            self.discarded += count

    def end(self) -> None:
        """End the current file with the kernel's counts, if these fit."""
        if self._fd < 0:
            return
        self.ring.count()
        dropped = self.ring.dropped - self._dropped_before
        self._dropped_before = self.ring.dropped
        counts = pcapng_writer.statistics(time.time_ns(), self._in_file + dropped, dropped)
        try:
            _write(self._fd, counts)
        except OSError as error:
            self._give_up(error)
            return
        self._close()

    def _close(self) -> None:
        os.close(self._fd)
        self._fd = -1
        self.kept[-1] = (self.kept[-1][0], self._in_file)

    @property
    def failed(self) -> str:
        """Give the reason why nothing more is written: the interface's, the file's, or both."""
        return "; ".join(cause for cause in (self.ring.failed, self.unwritable) if cause)

    def result(self) -> LinkCapture:
        """Sum up."""
        return LinkCapture(
            link=label(self.link),
            kind=self.link.kind,
            packets=self.packets,
            bytes=self.bytes,
            dropped=self.ring.dropped,
            discarded=self.discarded,
            unkept=self.unkept,
            unkept_because=UNWRITABLE if self.unwritable else FULL if self._full else "",
            failed=self.failed,
            files=tuple(str(path) for path, _ in self.kept),
        )


def _write(fd: int, data: bytes) -> None:
    done = os.write(fd, data)
    while done < len(data):  # a signal, or a disk that is nearly full
        done += os.write(fd, data[done:])

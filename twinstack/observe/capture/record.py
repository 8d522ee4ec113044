"""Capture links of a world into a file each, until the time is up or somebody says stop.

One process waits for the rings of all links, and writes each block as the kernel hands it over.
The files are bounded, each with the newest packets; nothing that was there is written over.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from twinstack.errors import TwinstackError
from twinstack.linux.packet_ring import RETIRE_MS, Ring, opened
from twinstack.observe.capture import pcapng_writer
from twinstack.observe.capture.targets import CaptureOptions, described, file_name, label, place
from twinstack.reconcile import Progress
from twinstack.world import Link

#: A block that is not full comes this late at most; then nothing more does.
_LAST_S = 2 * RETIRE_MS / 1000
_LOOK_S = 0.5
_SAID_EVERY_S = 5.0

#: Why packets that came were not kept.
FULL, UNWRITABLE = "the file was full", "the file could not be written"


@dataclass(frozen=True, slots=True)
class LinkCapture:
    """What became of a link: `packets` and `bytes` were written, as tshark counts them.

    `dropped` the kernel had no room for; `discarded` are packets in files that rotation removed,
    `unkept` were refused, as `unkept_because` says. `failed`: why it ended early. `files`: those
    there.
    """

    link: str
    kind: str
    packets: int
    bytes: int
    dropped: int
    discarded: int
    unkept: int
    unkept_because: str
    failed: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """A whole capture. `interrupted`: by a signal, before its time was up."""

    folder: str
    seconds: float
    interrupted: bool
    links: tuple[LinkCapture, ...]


@dataclass(slots=True)
class _Files:
    """The files of one link, written one after the other."""

    link: Link
    folder: Path
    wanted: CaptureOptions
    ring: Ring
    kept: list[tuple[Path, int]] = field(default_factory=list)  # and its packets
    packets: int = 0
    bytes: int = 0
    discarded: int = 0
    unkept: int = 0
    unwritable: str = ""
    _full: bool = False
    _handle: int = -1
    _number: int = 0
    _room: int = 0
    _in_file: int = 0
    _told_dropped: int = 0

    def take(self, memory: memoryview, count: int, at: int) -> None:
        """Write a block of the ring's; a file that cannot be written ends its link's capture."""
        data, wire = pcapng_writer.packets(memory, count, at)
        if not self._holds(len(data)):
            self.unkept += count
            return
        try:
            _write(self._handle, data)
        except OSError as error:
            self._broken(error)
            self.unkept += count
            return
        self._room -= len(data)
        self._in_file += count
        self.packets += count
        self.bytes += wire

    def _holds(self, size: int) -> bool:
        """Tell whether so much may be written, to the next file where this one has no room."""
        if self._full or self.unwritable:
            return False
        if size <= self._room or not self._in_file:
            return True
        if self.wanted.files == 1:
            self._full = True  # a smaller block might still fit: it would leave a hole in time
            return False
        self.end()
        if not self.unwritable:
            try:
                self.begin()
            except OSError as error:
                self._broken(error)
        return not self.unwritable

    def _broken(self, error: OSError) -> None:
        """Leave whole what was written before."""
        self.unwritable = f"cannot be written: {error.strerror}"
        if self._handle >= 0:
            os.ftruncate(self._handle, self.wanted.size - self._room)
            os.close(self._handle)
            self._handle = -1
            self.kept[-1] = (self.kept[-1][0], self._in_file)

    def begin(self) -> None:
        """Begin a file, and remove the oldest where that is one too many.

        Raises: OSError, and then leaves no file without a header; TwinstackError.
        """
        self._number += 1
        path = self.folder / file_name(self.link, self._number, self.wanted)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._handle = os.open(path, flags, 0o600)
        except FileExistsError as error:
            raise TwinstackError(
                str(path),
                "is not written over",
                "it is there already",
                "choose another folder with --out",
            ) from error
        head = pcapng_writer.header(label(self.link), described(self.link), self.wanted.snap)
        self._room, self._in_file = self.wanted.size - len(head), 0
        try:
            _write(self._handle, head)
        except OSError:
            os.close(self._handle)
            self._handle = -1
            path.unlink(missing_ok=True)
            raise
        self.kept.append((path, 0))
        if len(self.kept) > self.wanted.files:
            oldest, count = self.kept.pop(0)
            oldest.unlink(missing_ok=True)
            self.discarded += count

    def end(self) -> None:
        """End the file that is written, with what the kernel counted meanwhile, if that fits."""
        if self._handle < 0:
            return
        self.ring.count()
        dropped = self.ring.dropped - self._told_dropped
        self._told_dropped = self.ring.dropped
        counted = pcapng_writer.statistics(time.time_ns(), self._in_file + dropped, dropped)
        try:
            _write(self._handle, counted)
        except OSError as error:
            self._broken(error)
            return
        os.close(self._handle)
        self._handle = -1
        self.kept[-1] = (self.kept[-1][0], self._in_file)

    @property
    def failed(self) -> str:
        """Say why nothing more is written: of the interface, of the file, or of both."""
        return "; ".join(one for one in (self.ring.failed, self.unwritable) if one)

    def caught(self) -> LinkCapture:
        because = UNWRITABLE if self.unwritable else FULL if self._full else ""
        return LinkCapture(
            label(self.link),
            self.link.kind,
            self.packets,
            self.bytes,
            self.ring.dropped,
            self.discarded,
            self.unkept,
            because,
            self.failed,
            tuple(str(one) for one, _ in self.kept),
        )


def capture(
    links: Sequence[Link],
    folder: Path,
    wanted: CaptureOptions,
    *,
    progress: Progress = lambda _line: None,
) -> CaptureResult:
    """Capture until the time is up, Ctrl-C, SIGTERM or SIGHUP; files are whole whatever happens.

    A link that goes away, or whose file cannot be written, ends alone, and its row says so.
    Raises: Missing without root or a link; TwinstackError when a file is there already; OSError.
    """
    private(folder)
    with ExitStack() as stack:
        stopped = stack.enter_context(_stoppable())
        stack.enter_context(_uncollected())
        rings = stack.enter_context(opened([place(one) for one in links], wanted.snap))
        files = [
            _Files(link, folder, wanted, ring) for link, ring in zip(links, rings, strict=True)
        ]
        for one in files:
            stack.callback(one.end)
            one.begin()
        started = time.monotonic()
        until = f"for {wanted.seconds:g} s" if wanted.seconds else "until Ctrl-C"
        progress(f"capturing {len(links)} link{'s' * (len(links) != 1)} {until}")
        _follow(files, started, wanted.seconds, stopped, progress)
        seconds = time.monotonic() - started
        for ring in rings:
            ring.stop()
        time.sleep(_LAST_S)  # the kernel hands over what it holds; a second Ctrl-C waits
        for one in files:
            one.ring.read(one.take)
            one.end()
        return CaptureResult(
            str(folder), seconds, bool(stopped), tuple(one.caught() for one in files)
        )


def _follow(
    files: Sequence[_Files], started: float, seconds: float, stopped: list[int], progress: Progress
) -> None:
    waiting = select.poll()
    by_handle = {one.ring.fileno(): one for one in files}
    for handle in by_handle:
        waiting.register(handle, select.POLLIN | select.POLLERR)
    said = started
    while not stopped and by_handle:
        now = time.monotonic()
        left = started + seconds - now if seconds else _LOOK_S
        if left <= 0:
            return
        if now - said >= _SAID_EVERY_S:
            said = now
            progress(_so_far(files, now - started))
        for handle, event in waiting.poll(min(left, _LOOK_S) * 1000):
            one = by_handle[handle]
            one.ring.read(one.take)
            if event & select.POLLERR:
                one.ring.check()
            if one.failed:
                progress(f"{label(one.link)}: {one.failed}")
                one.ring.stop()  # what the kernel still holds of it is read at the end
                waiting.unregister(handle)
                del by_handle[handle]


def _so_far(files: Sequence[_Files], seconds: float) -> str:
    for one in files:
        one.ring.count()
    packets, dropped = (sum(one.packets for one in files), sum(one.ring.dropped for one in files))
    return f"{seconds:.0f} s: {packets:,} packets, {dropped:,} dropped by the kernel"


def _write(handle: int, data: bytes) -> None:
    done = os.write(handle, data)
    while done < len(data):  # a signal, or a disk that is nearly full
        done += os.write(handle, data[done:])


def private(folder: Path) -> None:
    """Make a folder that its owner alone may look into; one that is there stays as it is.

    Raises: TwinstackError when it is none, or is a link to somewhere else; OSError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError as error:
        if folder.is_symlink() or not folder.is_dir():
            raise TwinstackError(
                str(folder), "cannot take captures", "it is no folder", "choose another with --out"
            ) from error


@contextmanager
def _uncollected() -> Iterator[None]:
    """Leave the collector out: nothing here is cyclic, and it would go through the whole heap.

    That took more time than writing the packets did: some 40 ms for every 10,000 of them.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Turn what ends us into a note, so that neither a file nor its folder is left behind."""
    stopped: list[int] = []
    note = partial(_note, stopped)
    ending = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: go on without a terminal
        ending.append(signal.SIGHUP)
    former = {one: signal.signal(one, note) for one in ending}
    try:
        yield stopped
    finally:
        for one, handler in former.items():
            signal.signal(one, handler)


def _note(stopped: list[int], number: int, _frame: object) -> None:
    stopped.append(number)

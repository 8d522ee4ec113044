"""Capture links of a world into files, until the time is up or a signal ends it.

One process waits for the rings of all links, and writes each block as the kernel hands it over.
"""

from __future__ import annotations

import gc
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from twinstack.errors import WrongUse
from twinstack.linux.packet_ring import RETIRE_MS, opened
from twinstack.observe.capture.files import LinkFiles
from twinstack.observe.capture.report import CaptureResult
from twinstack.observe.capture.targets import CaptureOptions, capture_point, label
from twinstack.printable import counted
from twinstack.reconcile import Progress
from twinstack.world import Link

#: A block that is not full comes this late at most; then nothing more does.
_LAST_S = 2 * RETIRE_MS / 1000
_POLL_S = 0.5
_PROGRESS_EVERY_S = 5.0


def capture(
    links: Sequence[Link],
    folder: Path,
    options: CaptureOptions,
    *,
    progress: Progress = lambda _line: None,
) -> CaptureResult:
    """Capture links into one folder. Raises: as `capture_groups`."""
    (result,) = capture_groups([(links, folder)], options, progress=progress)
    return result


def capture_groups(
    groups: Sequence[tuple[Sequence[Link], Path]],
    options: CaptureOptions,
    *,
    progress: Progress = lambda _line: None,
) -> tuple[CaptureResult, ...]:
    """Capture until the time is up, Ctrl-C, SIGTERM or SIGHUP; the files are whole in any case.

    Groups of links, each with its folder, are captured at once. A link that goes away, or whose
    file cannot be written, ends alone; its result says why.
    Raises: Missing without root or a link; WrongUse when a file exists already; OSError.
    """
    for _, folder in groups:
        make_private(folder)
    links = [(link, folder) for group, folder in groups for link in group]
    with ExitStack() as stack:
        stopped = stack.enter_context(_catch_signals())
        stack.enter_context(_no_garbage_collection())
        places = [capture_point(link) for link, _ in links]
        rings = stack.enter_context(opened(places, options.snap))
        captures = [
            LinkFiles(link, folder, options, ring)
            for (link, folder), ring in zip(links, rings, strict=True)
        ]
        for files in captures:
            stack.callback(files.end)
            files.begin()
        started = time.monotonic()
        until = f"for {options.seconds:g} s" if options.seconds else "until Ctrl-C"
        progress(f"capturing {counted(len(links), 'link')} {until}")
        _write_until(captures, started, options.seconds, stopped, progress)
        seconds = time.monotonic() - started
        for ring in rings:
            ring.stop()
        time.sleep(_LAST_S)  # the kernel hands over what it holds; a second Ctrl-C waits
        for files in captures:
            files.ring.read(files.write)
            files.end()
        results = iter([files.result() for files in captures])
        return tuple(
            CaptureResult(str(folder), seconds, bool(stopped), tuple(islice(results, len(group))))
            for group, folder in groups
        )


def _write_until(
    captures: Sequence[LinkFiles],
    started: float,
    seconds: float,
    stopped: list[int],
    progress: Progress,
) -> None:
    """Write until the time is up, a signal came, or no link is left."""
    poll = select.poll()
    by_fd = {files.ring.fileno(): files for files in captures}
    for fd in by_fd:
        poll.register(fd, select.POLLIN | select.POLLERR)
    reported = started
    while not stopped and by_fd:
        now = time.monotonic()
        left = started + seconds - now if seconds else _POLL_S
        if left <= 0:
            return
        if now - reported >= _PROGRESS_EVERY_S:
            reported = now
            progress(_so_far(captures, now - started))
        for fd, event in poll.poll(min(left, _POLL_S) * 1000):
            files = by_fd[fd]
            files.ring.read(files.write)
            if event & select.POLLERR:
                files.ring.check()
            if files.failed:
                progress(f"{label(files.link)}: {files.failed}")
                files.ring.stop()  # what the kernel still holds of it is read at the end
                poll.unregister(fd)
                del by_fd[fd]


def _so_far(captures: Sequence[LinkFiles], seconds: float) -> str:
    for files in captures:
        files.ring.count()
    packets = sum(files.packets for files in captures)
    dropped = sum(files.ring.dropped for files in captures)
    return f"{seconds:.0f} s: {counted(packets, 'packet')}, {dropped:,} dropped by the kernel"


def make_private(folder: Path) -> None:
    """Create a folder that only its owner may read; an existing one stays as it is.

    Raises: WrongUse when it is no folder, or a symbolic link; OSError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError as error:
        if folder.is_symlink() or not folder.is_dir():
            cause, remedy = "it is not a folder", "choose another with --out"
            raise WrongUse(str(folder), "cannot take captures", cause, remedy) from error


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Suspend the collector: nothing here is cyclic, and it would scan the whole heap.

    That took more time than writing the packets: some 40 ms for every 10,000 of them.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _catch_signals() -> Iterator[list[int]]:
    """Collect the signals that would end us, so that every file is ended first."""
    stopped: list[int] = []
    ending = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: go on without a terminal
        ending.append(signal.SIGHUP)
    former = {
        number: signal.signal(number, lambda caught, _frame: stopped.append(caught))
        for number in ending
    }
    try:
        yield stopped
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)

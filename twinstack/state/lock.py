"""One command at a time changes a world of an instance; the kernel drops the lock with its holder.

A holder that was killed may have children at work. They hold its lock until they have died too,
so the next command waits for them.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twinstack.errors import Locked, Missing
from twinstack.linux import procfs
from twinstack.state import paths as directories
from twinstack.state.paths import InstancePaths

_WAIT_S, _POLL_S = 5.0, 0.02


@contextmanager
def locked(paths: InstancePaths, world: str) -> Iterator[None]:
    """Keep every other command from changing a world of this instance during the block.

    Raises: Locked, naming the holder; Missing without root.
    """
    handle = _acquire(paths.run / f"{world}.lock", paths)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"pid {os.getpid()} ({' '.join(sys.argv[:3])})".encode(), 0)
        yield
    finally:
        os.close(handle)


def _acquire(path: Path, paths: InstancePaths) -> int:
    """Open and lock the file that is at `path` once it is locked. Raises: Locked, Missing."""
    instance = f"instance {paths.instance}"
    deadline_s = time.monotonic() + _WAIT_S
    while True:
        try:
            # Root's alone: opening it to services is a step of `up`, shown by `net.plan`.
            paths.run.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # a `down` that ended just now removed the directory
        except PermissionError as error:
            cause, remedy = "this needs root", "run it with sudo"
            raise Missing(instance, "cannot be changed", cause, remedy) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        except BlockingIOError as error:
            holder = os.pread(handle, 200, 0).decode(errors="replace") or "another command"
            os.close(handle)
            if _has_ended(holder) and time.monotonic() < deadline_s:
                time.sleep(_POLL_S)
                continue
            remedy = "wait for it to end"
            raise Locked(instance, "is being changed", f"by {holder}", remedy) from error
        os.close(handle)  # a `down` removed the file between our opening and our locking it


def _has_ended(holder: str) -> bool:
    """Tell whether the process that a lock's file names has ended."""
    word, _, rest = holder.partition(" ")
    pid = rest.partition(" ")[0]
    return word == "pid" and pid.isdigit() and not procfs.start_ticks(int(pid))


def is_mine(paths: InstancePaths, world: str) -> bool:
    """Tell whether this process holds a lock."""
    try:
        return (paths.run / f"{world}.lock").read_text().startswith(f"pid {os.getpid()} ")
    except OSError:
        return False


def remove_run(paths: InstancePaths, world: str) -> None:
    """Remove the lock of a world, and the directories that are empty after it."""
    (paths.run / f"{world}.lock").unlink(missing_ok=True)
    for directory in (paths.run, directories.RUN):
        try:
            directory.rmdir()
        except OSError:
            return

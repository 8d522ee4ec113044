"""System calls of the C library that Python 3.11 has no function for, through one handle."""

from __future__ import annotations

import ctypes
import os
import signal
from enum import IntFlag
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_MNT_DETACH = 2


class Clone(IntFlag):
    """Kinds of namespaces. Source: sched.h."""

    NEWNS = 0x00020000
    NEWNET = 0x40000000


class Mount(IntFlag):
    """Flags of mount(2). Source: mount.h."""

    BIND = 1 << 12
    REC = 1 << 14
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20


def call(name: str, *arguments: object) -> int:
    """Call a function by name and return its result. Raises: OSError where it is negative."""
    result = int(getattr(_libc, name)(*arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def unshare(kind: Clone) -> None:
    """Move this thread into a new namespace. Same as: unshare --net. Raises: OSError."""
    call("unshare", int(kind))


def setns(handle: int, kind: Clone) -> None:
    """Move this thread into the namespace of an open file. Source: setns(2). Raises: OSError."""
    call("setns", handle, int(kind))


def mount(source: str, target: Path | str, kind: str, flags: int, data: str = "") -> None:
    """Mount a file system, or change a mount. Source: mount(2). Raises: OSError."""
    encoded = (os.fsencode(source), os.fsencode(target), kind.encode())
    call("mount", *encoded, int(flags), data.encode() or None)


def umount(target: Path | str) -> None:
    """Same as: umount --lazy TARGET. Raises: OSError."""
    call("umount2", os.fsencode(target), _MNT_DETACH)


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it ends. Source: prctl(2)."""
    call("prctl", _PR_SET_PDEATHSIG, int(signal.SIGKILL))

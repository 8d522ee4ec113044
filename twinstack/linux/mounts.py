"""Mounts of a host's own: a mount namespace for each namespace that is a host, pinned to a file.

Its /run is empty and private, so that namespaces pinned in there, the lock and the journal are
that host's alone. The pins lie on a private mount of ours: a mount namespace can be pinned on no
other. When its pin goes and its last process, all that was mounted in it goes too.
Source: mount_namespaces(7), unshare(1).
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from contextlib import suppress
from pathlib import Path

from twinstack.linux import child as entering
from twinstack.linux import netns

DIRECTORY = "mounts"
_CLONE_NEWNS = 0x20000
_MS_BIND, _MS_REC, _MS_PRIVATE, _MS_SLAVE = 0x1000, 0x4000, 1 << 18, 1 << 19
_MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str, kind: str, flags: int, data: str | None = None) -> None:
    words = (os.fsencode(source), os.fsencode(target), kind.encode())
    if _libc.mount(*words, flags, data and data.encode()) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


def _umount(target: str) -> None:
    if _libc.umount2(os.fsencode(target), _MNT_DETACH) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


def pinned(run: Path) -> tuple[str, ...]:
    """List the hosts whose mounts are pinned under an instance's run directory."""
    device = os.stat("/proc/self/ns/mnt").st_dev
    with suppress(FileNotFoundError):
        return tuple(
            sorted(one.name for one in (run / DIRECTORY).iterdir() if one.stat().st_dev == device)
        )
    return ()


def is_kept(run: Path) -> bool:
    """Tell whether there is a place for pins, whatever is in it."""
    return os.path.lexists(run / DIRECTORY)


def make(namespace: str, pin: Path) -> None:
    """Make mounts for a pinned network namespace and pin them; older ones are let go.

    Raises: OSError.
    """
    place = pin.parent
    place.mkdir(parents=True, exist_ok=True)
    if not place.is_mount():
        _mount("tmpfs", str(place), "tmpfs", 0, "mode=700,size=1m")
    _mount("none", str(place), "none", _MS_PRIVATE)
    release(pin)
    pin.touch(mode=0o400)
    processors = sorted(os.sched_getaffinity(0))
    for processor in processors:
        try:
            _make_on(processor, namespace, pin)
            return
        except OSError as error:
            # The kernel pins only mounts younger than one's own, and tells age by a number that
            # each processor counts in a range of its own: on ours it is younger for sure.
            if error.errno != errno.EINVAL or processor == processors[-1]:
                raise


def _make_on(processor: int, namespace: str, pin: Path) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _libc.prctl(1, signal.SIGKILL)
            os.close(reading)
            os.sched_setaffinity(0, {processor})
            entering.enter(netns.PINS / namespace)
            _own()
            os.write(writing, b"ready")
            signal.pause()
        finally:
            os._exit(1)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            if pipe.read(5) != b"ready":
                raise OSError(0, "the child that makes them died")
        _mount(f"/proc/{child}/ns/mnt", str(pin), "none", _MS_BIND)
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _own() -> None:
    """Leave for mounts of one's own, with an empty /run: nothing of the others' is held in it."""
    if _libc.unshare(_CLONE_NEWNS) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    _mount("none", "/", "none", _MS_REC | _MS_SLAVE)
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    under = [line.split()[4] for line in lines]
    for target in reversed(under):
        if target == "/run" or target.startswith("/run/"):
            with suppress(OSError):  # it went with one that was mounted over it
                _umount(target)
    _mount("tmpfs", "/run", "tmpfs", 0, "mode=755")


def enter(pin: Path) -> None:
    """Move this process into pinned mounts. Source: setns(2). Raises: OSError."""
    handle = os.open(pin, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(handle, _CLONE_NEWNS) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(handle)


def release(pin: Path) -> None:
    """Let go of a host's mounts. Same as: umount FILE; rm FILE. Raises: OSError."""
    with suppress(FileNotFoundError):
        if pin.stat().st_dev == os.stat("/proc/self/ns/mnt").st_dev:
            _umount(str(pin))
        pin.unlink()


def remove(run: Path) -> None:
    """Let go of all that is pinned, and of the place for pins. Raises: OSError."""
    place = run / DIRECTORY
    while place.is_mount():
        _umount(str(place))
    with suppress(FileNotFoundError):
        place.rmdir()

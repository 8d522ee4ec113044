"""Mounts of a host's own: a mount namespace for each namespace that is a host, pinned to a file.

Its /run is empty and private, so that namespaces pinned in there, the lock and the journal are
that host's alone. The pins lie on a private mount of ours: a mount namespace can be pinned on no
other. When its pin goes and its last process, all that was mounted in it goes too.
Source: mount_namespaces(7), unshare(1).
"""

from __future__ import annotations

import errno
import os
import signal
from contextlib import suppress
from pathlib import Path

from twinstack.linux import child as entering
from twinstack.linux import libc, netns
from twinstack.linux.libc import Clone, Mount

DIRECTORY = "mounts"


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
        libc.mount("tmpfs", place, "tmpfs", 0, "mode=700,size=1m")
    libc.mount("none", place, "none", Mount.PRIVATE)
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
            libc.die_with_parent()
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
        libc.mount(f"/proc/{child}/ns/mnt", pin, "none", Mount.BIND)
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _own() -> None:
    """Leave for mounts of one's own, with an empty /run: nothing of the others' is held in it."""
    libc.unshare(Clone.NEWNS)
    libc.mount("none", "/", "none", Mount.REC | Mount.SLAVE)
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    under = [line.split()[4] for line in lines]
    for target in reversed(under):
        if target == "/run" or target.startswith("/run/"):
            with suppress(OSError):  # it went with one that was mounted over it
                libc.umount(target)
    libc.mount("tmpfs", "/run", "tmpfs", 0, "mode=755")


def release(pin: Path) -> None:
    """Let go of a host's mounts. Same as: umount FILE; rm FILE. Raises: OSError."""
    with suppress(FileNotFoundError):
        if pin.stat().st_dev == os.stat("/proc/self/ns/mnt").st_dev:
            libc.umount(pin)
        pin.unlink()


def remove(run: Path) -> None:
    """Let go of all that is pinned, and of the place for pins. Raises: OSError."""
    place = run / DIRECTORY
    while place.is_mount():
        libc.umount(place)
    with suppress(FileNotFoundError):
        place.rmdir()

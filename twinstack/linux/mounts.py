"""A host's own mounts: a mount namespace for each namespace that is a host, pinned to a file.

Its /run is empty and private, so that namespaces pinned there, the lock and the journal are that
host's alone. The pins lie on a private mount of ours: a mount namespace can be pinned on no other.
When its pin is gone and its last process ends, its mounts go too.
Source: mount_namespaces(7), unshare(1).
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from twinstack.linux import child, libc, netns, procfs
from twinstack.linux.libc import Clone, Mount

DIRECTORY = "mounts"


def pinned(run: Path) -> tuple[str, ...]:
    """List the hosts with mounts pinned under an instance's run directory."""
    with suppress(FileNotFoundError):
        pins = (run / DIRECTORY).iterdir()
        return tuple(sorted(pin.name for pin in pins if netns.is_namespace(pin)))
    return ()


def is_kept(run: Path) -> bool:
    """Tell whether there is a directory for pins, empty or not."""
    return os.path.lexists(run / DIRECTORY)


def make(namespace: str, pin: Path) -> None:
    """Create mounts for a pinned network namespace, and pin them in place of older ones.

    Raises: OSError, StepFailed.
    """
    directory = pin.parent
    directory.mkdir(parents=True, exist_ok=True)
    if not directory.is_mount():
        libc.mount("tmpfs", directory, "tmpfs", 0, "mode=700,size=1m")
    libc.mount("none", directory, "none", Mount.PRIVATE)
    release(pin)
    pin.touch(mode=0o400)
    processors = sorted(os.sched_getaffinity(0))
    for processor in processors:
        try:
            _make_on(processor, namespace, pin)
            return
        except OSError as error:
            # The kernel pins only mounts younger than one's own, and tells age by a number that
            # each processor counts in a range of its own: on our processor it is surely younger.
            if error.errno != errno.EINVAL or processor == processors[-1]:
                raise


def _make_on(processor: int, namespace: str, pin: Path) -> None:
    def unshare() -> None:
        os.sched_setaffinity(0, {processor})
        _unshare_mounts()

    with child.staying(f"mounts of {namespace}", netns.PINS / namespace, unshare) as (holder, _):
        libc.mount(f"/proc/{holder.pid}/ns/mnt", pin, "none", Mount.BIND)


def _unshare_mounts() -> None:
    """Move this process into mounts of its own, with an empty /run that holds nothing foreign."""
    libc.unshare(Clone.NEWNS)
    libc.mount("none", "/", "none", Mount.REC | Mount.SLAVE)
    for mount in reversed(procfs.read_mounts()):
        if mount.path == "/run" or mount.path.startswith("/run/"):
            with suppress(OSError):  # it went with one that was mounted over it
                libc.umount(mount.path)
    libc.mount("tmpfs", "/run", "tmpfs", 0, "mode=755")


def release(pin: Path) -> None:
    """Unpin a host's mounts. Same as: umount FILE; rm FILE. Raises: OSError."""
    with suppress(FileNotFoundError):
        if netns.is_namespace(pin):
            libc.umount(pin)
        pin.unlink()


def remove(run: Path) -> None:
    """Unpin everything, and remove the directory for pins. Raises: OSError."""
    directory = run / DIRECTORY
    while directory.is_mount():
        libc.umount(directory)
    with suppress(FileNotFoundError):
        directory.rmdir()

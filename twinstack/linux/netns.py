"""Network namespaces pinned in /run/netns, where `ip netns` has them. Source: ip-netns(8)."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TypeVar

from twinstack.linux import child, libc, procfs
from twinstack.linux.libc import Mount

PINS = Path("/run/netns")
Result = TypeVar("Result")


def visiting(
    names: Sequence[str], work: Callable[[str], Result]
) -> AbstractContextManager[Callable[[], dict[str, Result]]]:
    """Work in each pinned namespace, as `child.visiting`."""
    return child.visiting({name: PINS / name for name in names}, work)


def pins_are_mounted() -> bool:
    """Tell whether /run/netns is a mount of its own, as `ip netns` makes it.

    A mountinfo line for its path is not enough: it may be of a mount that another one hides.
    """
    try:
        handle = os.open(PINS, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        lines = Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines()
    finally:
        os.close(handle)
    mount_id = next(line.split()[1] for line in lines if line.startswith("mnt_id:"))
    mounts = procfs.read_mounts()
    return any((mount.number, mount.path) == (mount_id, str(PINS)) for mount in mounts)


def mount_pins() -> None:
    """Make /run/netns a shared mount, so that later pins are seen in every mount namespace.

    Same as what `ip netns add` does first. Raises: OSError.
    """
    PINS.mkdir(mode=0o755, exist_ok=True)
    libc.mount(str(PINS), PINS, "none", Mount.BIND | Mount.REC)
    libc.mount("", PINS, "none", Mount.SHARED | Mount.REC)


def pin(name: str) -> None:
    """Pin the namespace that this thread is in, under a name that is free. Raises: OSError.

    Same as what `ip netns add NAME` does last.
    """
    path = PINS / name
    if is_empty_pin(name):
        path.unlink()  # left by an `up` that was interrupted
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o444))
    libc.mount("/proc/thread-self/ns/net", path, "none", Mount.BIND)


def unpin(name: str) -> None:
    """Unpin a namespace; the kernel ends it when its last process leaves.

    Same as: ip netns delete NAME. Raises: OSError.
    """
    path = f"{PINS}/{name}"
    if is_pinned(name):
        libc.umount(path)
    with suppress(FileNotFoundError):
        os.unlink(path)


def detach_pins() -> None:
    """Unpin every namespace at once: only where all of them are ours.

    Same as: umount --lazy /run/netns. Raises: OSError.
    """
    if pins_are_mounted():
        libc.umount(PINS)


def unmount_pins() -> None:
    """Undo `mount_pins`, and remove the directory if it is empty. Raises: OSError."""
    if pins_are_mounted() and not entries():
        libc.umount(PINS)
    if PINS.is_dir() and not entries():
        PINS.rmdir()


def entries() -> set[str]:
    """Name everything in /run/netns, ours or not."""
    with suppress(FileNotFoundError):
        return set(os.listdir(PINS))
    return set()


def pinned() -> tuple[str, ...]:
    """List the pinned namespaces, ours or not."""
    return tuple(name for name in sorted(entries()) if is_pinned(name))


def is_pinned(name: str) -> bool:
    """Tell whether a namespace is mounted on the pin; an interrupted add leaves an empty file."""
    return is_namespace(f"{PINS}/{name}")


def is_namespace(path: Path | str) -> bool:
    """Tell whether a path is a namespace of any kind, and not a file in its place."""
    try:
        return os.stat(path).st_dev == _nsfs_device()
    except OSError:
        return False


@functools.cache
def _nsfs_device() -> int:
    """Give the device of the file system that has every namespace's file."""
    return os.stat("/proc/self/ns/net").st_dev


def is_empty_pin(name: str) -> bool:
    """Tell whether a pin is only an empty file, as an interrupted add leaves."""
    try:
        status = os.lstat(f"{PINS}/{name}")
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == 0 and not is_pinned(name)

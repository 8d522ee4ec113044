"""Pin network namespaces where `ip netns` has them, and look into those that are pinned."""

from __future__ import annotations

import errno
import functools
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from twinstack.linux import child as entering
from twinstack.linux import libc
from twinstack.linux.libc import Mount

PINS = Path("/run/netns")

Result = TypeVar("Result")


@contextmanager
def visiting(
    names: Sequence[str], look: Callable[[str], Result]
) -> Iterator[Callable[[], dict[str, Result]]]:
    """Enter each pinned namespace in turn, in one child; gives what waits for what `look` found.

    Other things may be done meanwhile. One that is gone by then is left out.
    """

    def tour() -> dict[str, Result]:
        found: dict[str, Result] = {}
        for name in names:
            try:
                entering.enter(PINS / name)
            except OSError as error:
                if error.errno in {errno.ENOENT, errno.EINVAL}:
                    continue  # somebody's, and gone meanwhile, or not yet a network's
                raise
            found[name] = look(name)
        return found

    if not names:
        yield dict
        return
    child = entering.start("namespaces", None, tour)
    try:
        yield child.answer
    finally:
        child.end()


def pins_are_mounted() -> bool:
    """Tell whether /run/netns is a mount of its own, as `ip netns` makes it.

    A line for its path is not enough: it may be of a mount that another one hides.
    """
    try:
        handle = os.open(PINS, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        said = dict(
            line.split(":", 1)
            for line in Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines()
        )
    finally:
        os.close(handle)
    fields = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    mounted = (field for field in fields if field[0] == said["mnt_id"].strip())
    return any(field[4] == str(PINS) for field in mounted)


def mount_pins() -> None:
    """Make /run/netns a shared mount, so that pins made later are seen everywhere.

    Same as what `ip netns add` does first. Source: ip-netns(8).
    """
    PINS.mkdir(mode=0o755, exist_ok=True)
    libc.mount(str(PINS), PINS, "none", Mount.BIND | Mount.REC)
    libc.mount("", PINS, "none", Mount.SHARED | Mount.REC)


def pin(name: str) -> None:
    """Pin the namespace that this thread is in, under a name that nobody has. Raises: OSError.

    Same as what `ip netns add NAME` does last.
    """
    place = PINS / name
    if is_empty_pin(name):
        place.unlink()  # an interrupted making left it
    os.close(os.open(place, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o444))
    libc.mount("/proc/thread-self/ns/net", place, "none", Mount.BIND)


def unpin(name: str) -> None:
    """Let go of a pinned namespace; the kernel ends it when its last process leaves.

    Same as: ip netns delete NAME. Raises: OSError.
    """
    place = f"{PINS}/{name}"
    if is_pinned(name):
        libc.umount(place)
    with suppress(FileNotFoundError):
        os.unlink(place)


def detach_pins() -> None:
    """Let go of every pinned namespace at once: of use only where all of them are ours.

    Same as: umount --lazy /run/netns. Raises: OSError.
    """
    if pins_are_mounted():
        libc.umount(PINS)


def unmount_pins() -> None:
    """Undo `mount_pins` and remove the directory if nothing is left in it. Raises: OSError."""
    if pins_are_mounted() and not any(PINS.iterdir()):
        libc.umount(PINS)
    if PINS.is_dir() and not any(PINS.iterdir()):
        PINS.rmdir()


def entries() -> set[str]:
    """Name everything that lies in /run/netns, whoever put it there."""
    with suppress(FileNotFoundError):
        return set(os.listdir(PINS))
    return set()


def pinned() -> tuple[str, ...]:
    """List the namespaces that are pinned, whoever pinned them."""
    return tuple(name for name in sorted(entries()) if is_pinned(name))


def is_pinned(name: str) -> bool:
    """Tell whether a namespace hangs on the pin (an empty file is left by an interrupted add)."""
    try:
        return os.stat(f"{PINS}/{name}").st_dev == _namespaces_device()
    except OSError:
        return False


@functools.cache
def _namespaces_device() -> int:
    """Give the device of the file system that every namespace's file is on."""
    return os.stat("/proc/self/ns/net").st_dev


def is_empty_pin(name: str) -> bool:
    """Tell whether a pin is but an empty file: an interrupted making leaves one."""
    try:
        there = os.lstat(f"{PINS}/{name}")
    except OSError:
        return False
    return stat.S_ISREG(there.st_mode) and there.st_size == 0 and not is_pinned(name)

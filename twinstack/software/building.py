"""Directories that are whole or absent: built aside under a lock, then renamed into place."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from twinstack.errors import Missing, StepFailed, TwinstackError
from twinstack.linux import procfs

_ASIDE = ".building"


@contextmanager
def locked(directory: Path, wait: Callable[[str], None]) -> Iterator[None]:
    """Hold a directory's lock; `wait` gets a line when another process holds it.

    Raises: Missing when the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = (directory / ".lock").open("a+")
    except PermissionError as error:
        cause, remedy = str(error.strerror), "run it as root (sudo)"
        raise Missing(str(directory), "cannot be written", cause, remedy) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait(f"{directory}: waiting for another build to end")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """Yield a new directory that becomes `target` if, and only if, the block succeeds.

    Call under `locked`: what an interrupted build left is removed first.
    """
    building = target.with_name(target.name + _ASIDE)
    remove_tree(building)
    building.mkdir(parents=True)
    try:
        yield building
    except BaseException:
        remove_tree(building)
        raise
    if target.exists():
        raise StepFailed(str(target), "cannot be put in place", "it exists already")
    building.rename(target)


def remove_tree(path: Path) -> bool:
    """Remove a directory, file or link, and tell whether there was one; enters no mount.

    Raises: StepFailed when something is mounted beneath it.
    """
    is_tree = path.is_dir() and not path.is_symlink()
    if is_tree and (mounts := mounts_beneath(path)):
        cause, remedy = f"{mounts[0]} is mounted inside it", "bring the worlds down: invoke clean"
        raise StepFailed(str(path), "cannot be removed", cause, remedy)
    try:
        shutil.rmtree(path) if is_tree else path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise TwinstackError(str(path), "cannot be removed", str(error)) from error
    return True


def mounts_beneath(directory: Path) -> list[str]:
    """List the mount points at or beneath a directory."""
    prefix = os.path.realpath(directory)
    points = (mount.path for mount in procfs.read_mounts())
    return [point for point in points if point == prefix or point.startswith(prefix + "/")]

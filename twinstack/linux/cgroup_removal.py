"""End what runs in a cgroup of ours, and remove it, on either version.

Only members of the cgroup are ever signalled. A cgroup is given by its path below each mount.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from twinstack.errors import StepFailed
from twinstack.linux.cgroup import ControlGroup, Layout, create, read_layout

_END_S, _REMOVE_S, _POLL_S = 5.0, 2.0, 0.01


def children(path: str, layout: Layout) -> tuple[str, ...]:
    """Name the cgroups below one, in any hierarchy."""
    below = (child for directory in layout.directories(path) for child in _below(directory))
    return tuple(sorted({child.name for child in below}))


def end_processes(path: str, layout: Layout) -> None:
    """Kill what runs in a cgroup and wait until it is gone. Raises: StepFailed when one stays."""
    deadline_s = time.monotonic() + _END_S
    while left := ControlGroup.at(path, layout).processes():
        if time.monotonic() > deadline_s:
            raise StepFailed(f"cgroup {_name(path)}", "is not empty", f"processes {left} stay")
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_S)


def remove(path: str, layout: Layout) -> None:
    """End what still runs in a cgroup, and remove it. Raises: StepFailed."""
    end_processes(path, layout)
    for directory in layout.directories(path):
        _remove_directory(directory)


def remove_empty(path: str, layout: Layout) -> None:
    """Remove a cgroup, and those above it, as long as none is below. Raises: StepFailed."""
    for level in (Path(path), *Path(path).parents[:-1]):
        for directory in layout.directories(str(level)):
            if _below(directory):
                continue
            try:
                _remove_directory(directory)
            except StepFailed:
                if not _below(directory):  # else another instance made its own there just now
                    raise


@contextmanager
def held(pids: Sequence[int], path: str) -> Iterator[ControlGroup]:
    """Hold processes in a cgroup of their own; then they are in ours. Raises: OSError."""
    layout = read_layout()
    group, former = ControlGroup.at(path, layout), ControlGroup.of(os.getpid())

    def move(to: ControlGroup) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                (to.directory("cpu") / "cgroup.procs").write_text(str(pid))

    create(path, layout, {})
    try:
        move(group)
        yield group
    finally:
        move(former)
        remove_empty(path, layout)


def _below(directory: Path) -> tuple[Path, ...]:
    """List the cgroups below a directory; none where that is not there, or not any more."""
    try:
        return tuple(child for child in directory.iterdir() if child.is_dir())
    except FileNotFoundError:
        return ()


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _remove_directory(directory: Path) -> None:
    deadline_s = time.monotonic() + _REMOVE_S
    while directory.is_dir():
        try:
            directory.rmdir()
        except OSError as error:
            # A killed process leaves its cgroup a moment after it left /proc.
            if time.monotonic() > deadline_s:
                raise StepFailed(f"cgroup {directory}", "cannot be removed", str(error)) from error
            time.sleep(_POLL_S)

"""The cgroup of a container's process: its path, its CPU time and its processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twinstack.errors import CannotTell
from twinstack.linux.cgroup import ControlGroup, read_paths

PROC = Path("/proc")


def container_path(pid: int, container: str) -> str | None:
    """Give a container's cgroup; None while its main process is in another, or has ended.

    Both drivers name it by the container's id: PARENT/ID, PARENT/docker-ID.scope.
    """
    try:
        paths = read_paths(pid, PROC).values()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((path for path in paths if container in path.rpartition("/")[2]), None)


def cpu_us(pid: int) -> int:
    """Give the CPU time so far of a process's cgroup. Units: microseconds. Raises: CannotTell."""
    with _readable(pid):
        return ControlGroup.of(pid).cpu_us()


def members(pid: int) -> tuple[int, ...]:
    """List the processes of the cgroup that a process is in. Raises: CannotTell."""
    with _readable(pid):
        return ControlGroup.of(pid).processes("pids")


@contextmanager
def _readable(pid: int) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError) as error:
        raise CannotTell(f"process {pid}", "has no cgroup to read", str(error)) from error

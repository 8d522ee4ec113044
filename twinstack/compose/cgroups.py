"""Read the cgroup of a container's process: its CPU time and its processes (v1, v2, hybrid)."""

from __future__ import annotations

from pathlib import Path

from twinstack.errors import CannotTell

PROC = Path("/proc")


def cgroup_directory(pid: int, controller: str) -> Path:
    """Give the directory of a process's cgroup in the hierarchy that has a controller.

    A cgroup2 mount alone does not mean v2: in hybrid mode it has no controllers. So the v1
    hierarchy is taken where one exists. Raises: CannotTell. Source: cgroups(7).
    """
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise CannotTell(f"process {pid}", "has no cgroup", "it is gone") from error
    entries = [line.split(":", 2) for line in lines]
    for _, names, path in entries:
        if controller in names.split(","):
            point = next(
                (
                    words[4]
                    for words in mounts
                    if words[-3] == "cgroup" and controller in words[-1].split(",")
                ),
                None,
            )
            if point:
                return Path(point + path)
    for number, names, path in entries:
        if number == "0" and not names:
            point = next((words[4] for words in mounts if words[-3] == "cgroup2"), None)
            if point:
                return Path(point + path)
    raise CannotTell(f"process {pid}", "has no cgroup", f"no hierarchy has {controller}")


def container_path(pid: int, container: str) -> str | None:
    """Give a container's cgroup; None while its main process is in another, or has ended.

    Both drivers name it by the container's id: PARENT/ID, PARENT/docker-ID.scope.
    """
    try:
        lines = (PROC / str(pid) / "cgroup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    paths = (line.split(":", 2)[2] for line in lines)
    return next((path for path in paths if container in path.rpartition("/")[2]), None)


def cpu_us(pid: int) -> int:
    """Give the CPU time so far of the cgroup that a process is in. Units: microseconds."""
    directory = cgroup_directory(pid, "cpuacct")
    nanoseconds = directory / "cpuacct.usage"
    if nanoseconds.exists():
        return int(_read(nanoseconds, pid)) // 1000
    for line in _read(directory / "cpu.stat", pid).splitlines():
        name, _, value = line.partition(" ")
        if name == "usage_usec":
            return int(value)
    raise CannotTell(f"process {pid}", "has no CPU time", f"{directory} counts none")


def members(pid: int) -> list[int]:
    """List the processes of the cgroup that a process is in."""
    procs = cgroup_directory(pid, "pids") / "cgroup.procs"
    return [int(word) for word in _read(procs, pid).split()]


def _read(file: Path, pid: int) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise CannotTell(f"process {pid}", "has no cgroup any more", str(error)) from error

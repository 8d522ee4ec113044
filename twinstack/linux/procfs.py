"""What /proc and the cgroup file systems say of a process, for both worlds alike; parsers are pure.

Limits are those that hold: the tightest of all levels of the cgroup tree, on version 1, 2 or both.

Source: proc(5), cgroups(7), Documentation/admin-guide/cgroup-v1 and cgroup-v2 of the kernel.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

#: cgroup v1 writes "no limit" as the largest page-aligned number.
_NO_MEMORY_LIMIT = 1 << 60


def sysctl_place(key: str) -> str:
    """Give a switch's place below a procfs; an interface's name may hold a dot, ours never do."""
    return f"sys/{key.replace('.', '/')}"


@dataclass(frozen=True, slots=True)
class Held:
    """What a process's cgroups hold it to. Units: cores, microseconds, bytes; None is "no limit".

    `swap_bytes` is that of the kernel's own file: memory and swap together on cgroup v1, swap
    alone on v2; None too where the kernel keeps no account of swap.
    """

    cpus: float | None
    period_us: int | None
    memory_bytes: int | None
    swap_bytes: int | None
    pids: int | None


def held(pid: int) -> Held:
    """Read the limits of a process. Raises: OSError, ValueError when it is gone."""
    groups = parse_cgroup((Path("/proc") / str(pid) / "cgroup").read_text(encoding="utf-8"))
    hierarchies = parse_hierarchies(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    cpus, period_us = cpu(groups, hierarchies)
    return Held(
        cpus=cpus,
        period_us=period_us,
        memory_bytes=least(groups, hierarchies, "memory", "memory.limit_in_bytes", "memory.max"),
        swap_bytes=least(
            groups, hierarchies, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max"
        ),
        pids=least(groups, hierarchies, "pids", "pids.max", "pids.max"),
    )


def pids(proc: Path = PROC) -> Iterator[int]:
    """Give the pid of each process."""
    return (int(name) for name in os.listdir(proc) if name.isdigit())


def cmdline(pid: int, proc: Path = PROC) -> tuple[str, ...]:
    """Give a process's command, word by word; a title that it gave itself is one word.

    Empty for a process that is gone, and for one of the kernel's. Raises: OSError.
    """
    try:
        raw = (proc / str(pid) / "cmdline").read_bytes().rstrip(b"\0 ")
    except (FileNotFoundError, ProcessLookupError):
        return ()
    return tuple(raw.decode(errors="replace").split("\0")) if raw else ()


@dataclass(frozen=True, slots=True)
class Stat:
    """A process's state and times. Units: clock ticks. Source: proc_pid_stat(5)."""

    state: str  # R running, S sleeping, D waiting for a device, Z zombie, X dead, …
    group: int
    session: int
    cpu_ticks: int  # its own, user and system
    reaped_ticks: int  # of children that it has waited for
    start_ticks: int  # since boot; pid and start together are unique


def stat(pid: int) -> Stat:
    """Read a process's state and times. Raises: OSError when it is gone."""
    text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    words = text.rpartition(")")[2].split()  # a program's name may hold blanks and parentheses
    group, session, user, system, user_2, system_2, start = (
        int(words[at]) for at in (2, 3, 11, 12, 13, 14, 19)
    )
    return Stat(words[0], group, session, user + system, user_2 + system_2, start)


def start_ticks(pid: int) -> int:
    """Give when a process started, in clock ticks since boot; 0 when it is gone or a zombie."""
    try:
        process = stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if process.state in "ZX" else process.start_ticks


def parse_status(text: str) -> dict[str, str]:
    """Read /proc/PID/status."""
    rows = (line.partition(":") for line in text.splitlines())
    return {key: value.strip() for key, _, value in rows}


def parse_cgroup(text: str) -> dict[str, str]:
    """Read /proc/PID/cgroup: each controller's path; the unified hierarchy's under ""."""
    found = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def parse_hierarchies(mountinfo: str) -> dict[str, Path]:
    """Find where each controller is mounted; cgroup v2 under ""."""
    found: dict[str, Path] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        place = Path(left.split(" ")[4])
        if kind == "cgroup2":
            found.setdefault("", place)
        elif kind == "cgroup":
            for option in options.split(","):
                found.setdefault(option, place)
    return found


def parse_quota(text: str) -> tuple[float | None, int | None]:
    """Read cpu.max: cores and the period in microseconds."""
    quota, period = text.split()
    return (None if quota == "max" else int(quota) / int(period)), int(period)


def parse_limit(text: str) -> int | None:
    """Read memory.max, memory.limit_in_bytes or pids.max."""
    word = text.strip()
    return None if word == "max" or int(word) >= _NO_MEMORY_LIMIT else int(word)


def levels(groups: dict[str, str], hierarchies: dict[str, Path], controller: str) -> list[Path]:
    """List a process's cgroup directories, its own first; v1's where the controller is there."""
    key = controller if controller in groups and controller in hierarchies else ""
    if key not in groups or key not in hierarchies:
        return []
    inner = Path(groups[key].lstrip("/"))
    return [hierarchies[key] / one for one in (inner, *inner.parents)]


def least(
    groups: dict[str, str], hierarchies: dict[str, Path], controller: str, v1: str, v2: str
) -> int | None:
    """Give the tightest of a limit, over all levels of a cgroup's tree."""
    found = []
    for level in levels(groups, hierarchies, controller):
        for name in {v1, v2}:
            if (level / name).is_file():
                limit = parse_limit((level / name).read_text(encoding="ascii"))
                found += [] if limit is None else [limit]
    return min(found, default=None)


def cpu(groups: dict[str, str], hierarchies: dict[str, Path]) -> tuple[float | None, int | None]:
    """Give the tightest CPU quota: cores, and its period in microseconds."""
    found: list[tuple[float, int]] = []
    for level in levels(groups, hierarchies, "cpu"):
        if (level / "cpu.max").is_file():
            cpus, period_us = parse_quota((level / "cpu.max").read_text(encoding="ascii"))
        elif (level / "cpu.cfs_quota_us").is_file():
            quota = (level / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (level / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
            cpus, period_us = parse_quota(f"{'max' if quota == '-1' else quota} {period}")
        else:
            continue
        if cpus is not None and period_us is not None:
            found.append((cpus, period_us))
    return min(found, default=(None, None))

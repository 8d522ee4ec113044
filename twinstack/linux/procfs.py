"""Read a process's /proc/PID: command, times, status, mounts. Source: proc(5).

`cgroup` reads /proc/PID/cgroup, `sysctl` the sysctls of network namespaces.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


def sysctl_path(key: str) -> str:
    """Give a sysctl's path below a procfs; an interface's name may hold a dot, ours never do."""
    return f"sys/{key.replace('.', '/')}"


def sysctl_numbers(key: str) -> tuple[int, ...]:
    """Read the numbers of a sysctl of the namespace that this process is in; () where it lacks."""
    try:
        return tuple(map(int, (PROC / sysctl_path(key)).read_text().split()))
    except (OSError, ValueError):
        return ()


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


def stat(pid: int, proc: Path = PROC) -> Stat:
    """Read a process's state and times. Raises: OSError when it is gone."""
    text = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    words = text.rpartition(")")[2].split()  # a program's name may hold blanks and parentheses
    group, session, user, system, user_2, system_2, start = (
        int(words[at]) for at in (2, 3, 11, 12, 13, 14, 19)
    )
    return Stat(words[0], group, session, user + system, user_2 + system_2, start)


def started_at(pid: int, proc: Path = PROC) -> float:
    """Give when a process started, in seconds of the epoch. Raises: OSError when it is gone."""
    since_boot_s = stat(pid, proc).start_ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot_s)


def start_ticks(pid: int) -> int:
    """Give when a process started, in clock ticks since boot; 0 when it is gone or a zombie."""
    try:
        process = stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if process.state in "ZX" else process.start_ticks


def environment(pid: int, proc: Path = PROC) -> dict[str, str]:
    """Read what a process was started with. Raises: OSError when it is gone."""
    text = (proc / str(pid) / "environ").read_text(encoding="utf-8", errors="replace")
    return dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)


@dataclass(frozen=True, slots=True)
class MountEntry:
    """One mount of a process's mount namespace. Source: proc_pid_mountinfo(5)."""

    number: str
    path: str
    options: tuple[str, ...]
    kind: str  # of the file system
    super_options: tuple[str, ...]
    device: str = ""  # of the file system: major:minor
    root: str = ""  # of the mount, within the file system


def read_mounts(pid: int | str = "self") -> tuple[MountEntry, ...]:
    """Read a process's mounts, in their order. Raises: OSError when it is gone."""
    file = PROC / str(pid) / "mountinfo"
    return parse_mountinfo(file.read_text(encoding="utf-8", errors="replace"))


def parse_mountinfo(text: str) -> tuple[MountEntry, ...]:
    """Read /proc/PID/mountinfo."""
    lines = (line.partition(" - ") for line in text.splitlines())
    return tuple(_mount_entry(left.split(" "), right.split(" ", 2)) for left, _, right in lines)


def _mount_entry(mount: list[str], system: list[str]) -> MountEntry:
    root, path = (
        re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text) for text in mount[3:5]
    )  # a blank: \040
    options, super_options = (tuple(words.split(",")) for words in (mount[5], system[2]))
    return MountEntry(mount[0], path, options, system[0], super_options, mount[2], root)


def read_status(pid: int, proc: Path = PROC) -> dict[str, str]:
    """Read /proc/PID/status, field by field. Raises: OSError when it is gone."""
    text = (proc / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
    rows = (line.partition(":") for line in text.splitlines())
    return {key: value.strip() for key, _, value in rows}


def descendants(leader: int) -> list[int]:
    """List a process and its descendants, whatever sessions they are in."""
    found = [leader]
    for pid in sorted(pids()):
        with suppress(OSError, KeyError):
            if int(read_status(pid)["PPid"]) in found:
                found.append(pid)
    return found


def catches(pid: int, number: signal.Signals) -> bool:
    """Tell whether a process has a handler for a signal; one that is gone has none."""
    try:
        caught = int(read_status(pid)["SigCgt"], 16)
    except (OSError, KeyError):
        return False
    return bool(caught >> (number - 1) & 1)

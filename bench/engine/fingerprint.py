"""What confines a running replica and what it executes, as named values.

Read from /proc and the cgroups on the host, in the same way for both worlds, so that "the limits
are alike" is observed and not remembered. A configuration file is read in the root of the process
itself, so it is the file that the program reads.

Source: proc(5), cgroups(7).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from twinstack.errors import CannotTell
from twinstack.linux.cgroup import ControlGroup
from twinstack.linux.procfs import cmdline, parse_mountinfo, read_status
from twinstack.model.runtimes import NGINX_CONF, REDIS_CONF

#: Values by what they are values of.
Fingerprint = Mapping[str, str]

#: Processes that PostgreSQL starts and ends with its clients; they are no setting.
_TRANSIENT = re.compile(r"^postgres: .*(\(\d+\)|\[local\]|autovacuum worker|parallel worker)")
_SECCOMP = {"0": "none", "1": "strict", "2": "filter"}


def fingerprint(main: int, pids: Iterable[int], data: str | None = None) -> Fingerprint:
    """Read a replica's fingerprint: of its main process, and of `pids` that descend from it.

    `data` is the directory, in its root, that it keeps data in. Raises: CannotTell when it is gone
    or may not be looked at.
    """
    try:
        return {**confinement(main, data), **executed(main, pids)}
    except (OSError, ValueError) as error:
        raise CannotTell(
            f"process {main}", "cannot be looked at", str(error), "run as root, while it is up"
        ) from error


def confinement(pid: int, data: str | None = None) -> Fingerprint:
    """Read limits, seccomp, privileges, mounts and output of a process. Raises: OSError."""
    proc = Path("/proc") / str(pid)
    status = read_status(pid)
    mounts = (proc / "mountinfo").read_text(encoding="utf-8", errors="replace")
    stdout = str((proc / "fd" / "1").readlink())
    limits = ControlGroup.of(pid).limits()
    return {
        "CPU limit": "none" if limits.cpus is None else f"{limits.cpus:g} cores",
        "CPU period": _limit(limits.period_us, "µs"),
        "memory limit": _limit(limits.memory_bytes, "bytes"),
        "swap limit": _limit(limits.swap_bytes, "bytes"),
        "pids limit": _limit(limits.pids, "pids"),
        "open files limit": parse_open_files((proc / "limits").read_text(encoding="ascii")),
        "seccomp": _SECCOMP.get(status.get("Seccomp", ""), "?"),
        "no_new_privs": str(status.get("NoNewPrivs") == "1"),
        "capabilities": status.get("CapEff", "?"),
        "speculative store bypass": status.get("Speculation_Store_Bypass", "?"),
        "log output": stdout.split(":", 1)[0] if ":[" in stdout else "file",
        "root file system": parse_mount(mounts, "/"),
        "data's file system": parse_mount(mounts, data) if data else "none",
    }


def executed(main: int, pids: Iterable[int], proc: Path = Path("/proc")) -> Fingerprint:
    """Read the command, the number of processes, and digests of configuration files.

    A health probe is a child of the engine, so it is not counted. Raises: OSError.
    """
    if not (command := " ".join(cmdline(main, proc))):
        raise ProcessLookupError("it has ended")
    root = proc / str(main) / "root"
    configs = {file: _digest(root / file.lstrip("/")) for file in (NGINX_CONF, REDIS_CONF)}
    titles = {pid: title for pid in {main, *pids} if (title := _parent_and_title(pid, proc))}
    return {"command": command, "processes": str(count(main, titles)), **configs}


def count(main: int, processes: Mapping[int, tuple[int, str]]) -> int:
    """Count a process and its lasting descendants; `processes`: pid → parent and title; pure."""
    family = {main}
    while more := {pid for pid, (parent, _) in processes.items() if parent in family} - family:
        family |= more
    return sum(1 for pid in family if pid == main or not _TRANSIENT.match(processes[pid][1]))


def parse_mount(mountinfo: str, path: str) -> str:
    """Name the file system mounted at a path in a process's root, or "part of its root"."""
    kinds = [mount.kind for mount in parse_mountinfo(mountinfo) if mount.path == path]
    return kinds[-1] if kinds else "part of its root"


def parse_open_files(text: str) -> str:
    """Read /proc/PID/limits: the soft and the hard limit of open files."""
    match = re.search(r"^Max open files\s+(\S+)\s+(\S+)", text, re.MULTILINE)
    if match is None:
        return "?"
    soft, hard = match.groups()
    return soft if soft == hard else f"{soft} (hard {hard})"


def _limit(value: int | None, unit: str) -> str:
    return "none" if value is None else f"{value} {unit}"


def _parent_and_title(pid: int, proc: Path) -> tuple[int, str] | None:
    """Read a process; None when it has just ended."""
    try:
        return int(read_status(pid, proc).get("PPid", "0")), " ".join(cmdline(pid, proc))
    except (FileNotFoundError, ProcessLookupError):
        return None


def _digest(file: Path) -> str:
    """Name a file's content; "none" for one that is absent, or empty: a mount point."""
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return "none"
    return hashlib.sha256(content).hexdigest()[:16] if content else "none"

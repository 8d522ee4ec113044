"""What a replica executes, as the kernel sees it: its command, its processes, its configuration.

Read from /proc on the host, in the same way for both worlds. The configuration is read in the
root of the process itself, so it is the file that the program reads. Parsers are pure.

Source: proc(5): /proc/PID/cmdline, status, root.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from twinstack.errors import CannotTell
from twinstack.linux.procfs import cmdline, parse_status
from twinstack.model.runtimes import NGINX_CONF, REDIS_CONF

CONFIGS = (NGINX_CONF, REDIS_CONF)
#: Processes that PostgreSQL starts and ends with its clients; they are no setting.
_TRANSIENT = re.compile(r"^postgres: .*(\(\d+\)|\[local\]|autovacuum worker|parallel worker)")


@dataclass(frozen=True, slots=True)
class Executed:
    """What one replica runs."""

    command: str
    processes: int
    configs: Mapping[str, str]  # digests of the files that exist and are not empty


def executed(main: int, pids: Iterable[int], proc: Path = Path("/proc")) -> Executed:
    """Look at a replica: its main process, and those of `pids` that descend from it.

    A health probe is a child of the engine, so it is not counted. Raises: CannotTell when the
    main process is gone or may not be looked at.
    """
    try:
        if not (command := " ".join(cmdline(main, proc))):
            raise ProcessLookupError("it has ended")
        configs = {
            name: digest
            for name in CONFIGS
            if (digest := _digest(proc / str(main) / "root" / name.lstrip("/")))
        }
    except OSError as error:
        raise CannotTell(
            f"process {main}", "cannot be looked at", str(error), "run as root, while it is up"
        ) from error
    processes = {
        pid: parent_and_title
        for pid in {main, *pids}
        if (parent_and_title := _parent_and_title(pid, proc))
    }
    return Executed(command, count(main, processes), configs)


def count(main: int, processes: Mapping[int, tuple[int, str]]) -> int:
    """Count a process and its lasting descendants; `processes`: pid → parent and title."""
    family = {main}
    while True:
        more = {pid for pid, (parent, _) in processes.items() if parent in family} - family
        if not more:
            break
        family |= more
    return sum(1 for pid in family if pid == main or not _TRANSIENT.match(processes[pid][1]))


def _parent_and_title(pid: int, proc: Path) -> tuple[int, str] | None:
    """Read a process; None when it has just ended."""
    try:
        status = (proc / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
        return int(parse_status(status).get("PPid", "0")), " ".join(cmdline(pid, proc))
    except (FileNotFoundError, ProcessLookupError):
        return None


def _digest(file: Path) -> str:
    """Name a file's content; "" for one that is absent, or empty: a mount point."""
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return hashlib.sha256(content).hexdigest()[:16] if content else ""

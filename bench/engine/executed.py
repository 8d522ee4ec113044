"""What a replica executes, as the kernel sees it: its command, its processes, its configuration.

Read from /proc on the host, in the same way for both worlds. The configuration is read in the
root of the process itself, so that it is the file which the program saw. Parsers are pure.

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
#: PostgreSQL makes and ends these as its clients come and go; they are no setting.
_PASSING = re.compile(r"^postgres: .*(\(\d+\)|\[local\]|autovacuum worker|parallel worker)")


@dataclass(frozen=True, slots=True)
class Executed:
    """One replica's. `configs` holds a digest of each file that is there and not empty."""

    command: str
    processes: int
    configs: Mapping[str, str]


def executed(main: int, pids: Iterable[int], proc: Path = Path("/proc")) -> Executed:
    """Look at a replica: its main process, and what of `pids` the main process has started.

    A health probe is started by the engine and so not counted. Raises: CannotTell when the main
    process is gone or may not be looked at.
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
    seen = {pid: one for pid in {main, *pids} if (one := _parent_and_title(pid, proc))}
    return Executed(command, count(main, seen), configs)


def count(main: int, seen: Mapping[int, tuple[int, str]]) -> int:
    """Count a process and its descendants but for passing ones; `seen` is pid → parent, title."""
    family = {main}
    while True:
        more = {pid for pid, (parent, _) in seen.items() if parent in family} - family
        if not more:
            break
        family |= more
    return sum(1 for pid in family if pid == main or not _PASSING.match(seen[pid][1]))


def _parent_and_title(pid: int, proc: Path) -> tuple[int, str] | None:
    """Read a process; None when it has just ended."""
    try:
        status = (proc / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
        return int(parse_status(status).get("PPid", "0")), " ".join(cmdline(pid, proc))
    except (FileNotFoundError, ProcessLookupError):
        return None


def _digest(file: Path) -> str:
    """Name a file's content; "" for one that is absent or but a place to mount on."""
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return hashlib.sha256(content).hexdigest()[:16] if content else ""

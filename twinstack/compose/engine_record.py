"""The record of the engine that we started: its process, its token, the host before it.

The token is drawn at the start and is part of the engine's cgroup and of the path of its run-time
state. Paths alone prove nothing: they may be the same in two mount namespaces, which share cgroups
and pids.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from twinstack.compose.engine_leftovers import HostState
from twinstack.compose.engine_paths import EnginePaths
from twinstack.errors import CannotTell
from twinstack.linux import files
from twinstack.linux.procfs import cmdline, pids, start_ticks


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """An engine of ours."""

    before: HostState
    token: str = ""  # "": an older release started it
    pid: int = 0  # 0 before it has started
    ticks: int = 0  # when the process started, in clock ticks since boot

    @property
    def alive(self) -> bool:
        """Say whether that very process runs."""
        return bool(self.pid) and start_ticks(self.pid) == self.ticks


_JSON = TypeAdapter(EngineRecord)


def write_record(engine: EnginePaths, record: EngineRecord) -> None:
    """Record, whole or not at all."""
    files.write(engine.record, _JSON.dump_json(record).decode())


def read_record(engine: EnginePaths) -> EngineRecord | None:
    """Read the record, if there is one. Raises: CannotTell.

    A crash between the start and its record leaves no pid: the process is then recognised by its
    configuration file, which has the token in its name.
    """
    try:
        record = _JSON.validate_json(engine.record.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        remedy = "remove it once dockerd is stopped"
        raise CannotTell(str(engine.record), "cannot be read", str(error), remedy) from error
    if record.pid:
        return record
    for pid in _candidates(engine.pidfile, everywhere=bool(record.token)):
        if is_daemon(pid, engine.configuration(record.token)):
            return replace(record, pid=pid, ticks=start_ticks(pid))
    return record


def is_daemon(pid: int, configuration: Path) -> bool:
    """Say whether a process is the dockerd that reads this configuration file."""
    words = cmdline(pid)
    return bool(words) and Path(words[0]).name == "dockerd" and str(configuration) in words


def _candidates(pidfile: Path, *, everywhere: bool) -> Iterator[int]:
    """Give the pid that dockerd wrote; `everywhere`: then every other."""
    with suppress(OSError, ValueError):
        yield int(pidfile.read_text())
    if everywhere:
        yield from pids()

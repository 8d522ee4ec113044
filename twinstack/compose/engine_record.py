"""What we wrote down of the engine that we started: which process, which token, what was before.

The token is drawn at the start and is part of the engine's cgroup and of the path of its
run-time state. Paths alone tell nothing: they may be the same in two mount namespaces, while
cgroups and pids are shared by both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twinstack.compose.engine_leftovers import Before
from twinstack.compose.engine_paths import EnginePaths
from twinstack.errors import CannotTell
from twinstack.linux import files
from twinstack.linux.procfs import cmdline, pids, start_ticks


@dataclass(frozen=True, slots=True)
class Record:
    """An engine of ours. `ticks`: when its process started; pid and ticks are 0 before it has.

    `token` is "" for one that an older release started.
    """

    token: str
    before: Before
    pid: int = 0
    ticks: int = 0

    @property
    def alive(self) -> bool:
        """Say whether it is that very process that runs."""
        return bool(self.pid) and start_ticks(self.pid) == self.ticks


def write_record(engine: EnginePaths, record: Record) -> None:
    """Record, whole or not at all."""
    written = {
        "token": record.token,
        "pid": record.pid,
        "ticks": record.ticks,
        "before": record.before.to_json(),
    }
    files.write(engine.record, json.dumps(written))


def read_record(engine: EnginePaths) -> Record | None:
    """Read what was recorded, or None. Raises: CannotTell.

    A crash between the start and its note leaves no pid: the process is then known by its
    configuration file, whose name bears the token.
    """
    try:
        written: dict[str, Any] = json.loads(engine.record.read_text())
        record = Record(
            token=str(written.get("token", "")),
            before=Before.from_json(written["before"]),
            pid=int(written["pid"]),
            ticks=int(written["ticks"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CannotTell(
            str(engine.record), "cannot be read", str(error), "remove it once dockerd is stopped"
        ) from error
    if record.pid:
        return record
    for pid in _candidates(engine.pidfile, bool(record.token)):
        if is_daemon(pid, engine.configuration(record.token)):
            return replace(record, pid=pid, ticks=start_ticks(pid))
    return record


def is_daemon(pid: int, configuration: Path) -> bool:
    """Say whether a process is the dockerd that reads this configuration file."""
    words = cmdline(pid)
    return bool(words) and Path(words[0]).name == "dockerd" and str(configuration) in words


def _candidates(pidfile: Path, everywhere: bool) -> Iterator[int]:
    """Give the pid that dockerd wrote; every other too where a token tells ours."""
    with suppress(OSError, ValueError):
        yield int(pidfile.read_text())
    if everywhere:
        yield from pids()

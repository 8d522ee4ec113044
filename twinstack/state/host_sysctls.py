"""Switches of the host that more than one of us needs: on with the first, back with the last.

Both worlds need net.ipv4.ip_forward. The world that turned it on must not turn it off under the
other, so who holds a switch is written down with its former value, before the act, under
/run/twinstack. Docker that is not ours is heeded too: while its bridge is there, a switch that
it needs stays as it is.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twinstack.errors import CannotTell
from twinstack.linux import files, procfs
from twinstack.state.paths import RUN


def hold(key: str, value: str, holder: str, *, run: Path = RUN, proc: Path = Path("/proc")) -> None:
    """Set a switch and hold it. Raises: OSError, CannotTell.

    Same as: sysctl -w KEY=VALUE.
    """
    switch = proc / procfs.sysctl_path(key)
    with _table(run) as table:
        held = table.setdefault(key, {"former": switch.read_text().strip(), "holders": []})
        held["value"] = value
        if holder not in held["holders"]:
            held["holders"].append(holder)
        _write(run, table)  # before the act: a crash from here on can be put right
        switch.write_text(value)


def release(
    holder: str, only: str | None = None, *, run: Path = RUN, proc: Path = Path("/proc")
) -> tuple[str, ...]:
    """Let go of a holder's switches, or of `only` one; the last one's letting go restores it.

    Says what became of each switch that changed hands. Raises: OSError, CannotTell.
    """
    said: list[str] = []
    with _table(run) as table:
        for key, held in list(table.items()):
            if holder not in held["holders"] or only not in {None, key}:
                continue
            held["holders"].remove(holder)
            if held["holders"]:
                continue
            del table[key]
            switch = proc / procfs.sysctl_path(key)
            if not switch.exists() or switch.read_text().strip() == held["former"]:
                continue
            if key == "net.ipv4.ip_forward" and _docker_is_here(proc):
                said.append(f"hold on sysctl {key} (it stays on: Docker's bridge is here)")
                continue
            if switch.read_text().strip() != held.get("value", switch.read_text().strip()):
                said.append(f"hold on sysctl {key} (somebody has changed it: it stays)")
                continue
            switch.write_text(held["former"])
            said.append(f"sysctl {key} (back to {held['former']})")
        _write(run, table)
    return tuple(said)


def holder(instance: str) -> str:
    """Name the namespace world of an instance among the holders."""
    return f"{instance}/net"


def held_by(holder: str, *, run: Path = RUN) -> frozenset[str]:
    """List the switches that somebody holds. Raises: CannotTell."""
    return frozenset(key for key, held in _read(run).items() if holder in held["holders"])


@contextmanager
def _table(run: Path) -> Iterator[dict[str, Any]]:
    """Read the table with its directory locked: there is no lock file to be left, or removed."""
    while True:
        try:
            run.mkdir(parents=True, exist_ok=True)
            directory = os.open(run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # somebody removed it, empty, between the two calls
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            if os.fstat(directory).st_nlink:  # else it was removed before we had the lock
                yield _read(run)
                return
        finally:
            os.close(directory)


def _read(run: Path) -> dict[str, Any]:
    file = run / "switches.json"
    try:
        table = json.loads(file.read_text())
        if all(isinstance(one["former"], str) for one in table.values()) and all(
            isinstance(one["holders"], list) for one in table.values()
        ):
            return dict(table)
        raise ValueError("it is of another kind")
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CannotTell(
            str(file), "cannot be understood", str(error), "look at it, then remove it"
        ) from error


def _write(run: Path, table: dict[str, Any]) -> None:
    file = run / "switches.json"
    if table:
        files.write(file, json.dumps(table, indent=1, sort_keys=True))
    else:
        files.remove(file)


def _docker_is_here(proc: Path) -> bool:
    lines = (proc / "self/net/dev").read_text().splitlines()
    return any(line.split(":")[0].strip() == "docker0" for line in lines)

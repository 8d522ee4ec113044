"""Sysctls of the host that several holders need: set by the first, restored by the last.

Every world needs net.ipv4.ip_forward, and one must not turn it off under another. So who holds a
sysctl is recorded with its former value, before the act, under /run/twinstack. A foreign Docker is
respected too: while its bridge is there, a sysctl that it needs stays as it is.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from twinstack.errors import CannotTell
from twinstack.linux import files, procfs
from twinstack.state import paths


class _Held(TypedDict):
    former: str
    holders: list[str]
    value: str


def hold(
    key: str, value: str, holder: str, *, run: Path | None = None, proc: Path = procfs.PROC
) -> None:
    """Set a sysctl and hold it. Raises: OSError, CannotTell.

    Same as: sysctl -w KEY=VALUE.
    """
    sysctl = proc / procfs.sysctl_path(key)
    with _table(run) as table:
        former = sysctl.read_text().strip()
        held = table.setdefault(key, {"former": former, "holders": [], "value": value})
        held["value"] = value
        if holder not in held["holders"]:
            held["holders"].append(holder)
        _write(run, table)  # before the act: after a crash from here on it can be restored
        sysctl.write_text(value)


def release(
    holder: str, only: str | None = None, *, run: Path | None = None, proc: Path = procfs.PROC
) -> tuple[str, ...]:
    """Release a holder's sysctls, or `only` one; when its last holder releases it, restore it.

    Says what became of each that nobody holds any more. Raises: OSError, CannotTell.
    """
    outcomes: list[str] = []
    with _table(run) as table:
        for key, held in list(table.items()):
            if holder not in held["holders"] or only not in {None, key}:
                continue
            held["holders"].remove(holder)
            if not held["holders"]:
                del table[key]
                outcomes += _restore(key, held, proc)
        _write(run, table)
    return tuple(outcomes)


def _restore(key: str, held: _Held, proc: Path) -> Iterator[str]:
    sysctl = proc / procfs.sysctl_path(key)
    current = sysctl.read_text().strip() if sysctl.exists() else held["former"]
    if current == held["former"]:
        return
    if key == "net.ipv4.ip_forward" and _docker_is_here(proc):
        yield f"hold on sysctl {key} (it stays on: Docker's bridge is here)"
    elif current != held.get("value", current):
        yield f"hold on sysctl {key} (another program has changed it: it stays)"
    else:
        sysctl.write_text(held["former"])
        yield f"sysctl {key} (back to {held['former']})"


def holder(instance: str) -> str:
    """Name the namespace world of an instance among the holders."""
    return f"{instance}/net"


def held_by(holder: str, *, run: Path | None = None) -> frozenset[str]:
    """List the sysctls that a holder holds. Raises: CannotTell."""
    return frozenset(key for key, held in _read(run).items() if holder in held["holders"])


@contextmanager
def _table(run: Path | None) -> Iterator[dict[str, _Held]]:
    """Read the table with its directory locked: so there is no lock file to leave or remove."""
    run = run or paths.RUN
    while True:
        try:
            run.mkdir(parents=True, exist_ok=True)
            directory = os.open(run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # another command removed it, empty, between the two calls
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            if os.fstat(directory).st_nlink:  # else it was removed before we had the lock
                yield _read(run)
                return
        finally:
            os.close(directory)


def _read(run: Path | None) -> dict[str, _Held]:
    file = (run or paths.RUN) / "switches.json"
    try:
        table: dict[str, _Held] = json.loads(file.read_text())
        for held in table.values():
            if not isinstance(held["former"], str) or not isinstance(held["holders"], list):
                raise ValueError("it is of another kind")
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        remedy = "look at it, then remove it"
        raise CannotTell(str(file), "cannot be understood", str(error), remedy) from error
    return table


def _write(run: Path | None, table: dict[str, _Held]) -> None:
    file = (run or paths.RUN) / "switches.json"
    if table:
        files.write(file, json.dumps(table, indent=1, sort_keys=True))
    else:
        files.remove(file)


def _docker_is_here(proc: Path) -> bool:
    lines = (proc / "self/net/dev").read_text().splitlines()
    return any(line.split(":")[0].strip() == "docker0" for line in lines)

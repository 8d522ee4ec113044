"""Sysctls of the host that several holders need: set by the first, restored by the last.

Every world needs net.ipv4.ip_forward, and one must not turn it off under another. So who holds a
sysctl is recorded with its former value, before the act, under /run/twinstack. A foreign Docker is
respected too: while its bridge is there, a sysctl that it needs stays as it is.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from twinstack.linux import files, procfs
from twinstack.state import paths, records


@dataclass(slots=True)
class _Held:
    former: str
    holders: list[str]
    value: str | None = None  # ours; None: an older release of ours set it


_JSON = TypeAdapter(dict[str, _Held])


def hold(key: str, value: str, holder: str) -> None:
    """Set a sysctl and hold it. Raises: OSError, CannotTell.

    Same as: sysctl -w KEY=VALUE.
    """
    sysctl = _file(key)
    with _table() as table:
        held = table.setdefault(key, _Held(sysctl.read_text().strip(), []))
        held.value = value
        if holder not in held.holders:
            held.holders.append(holder)
        _write(table)  # before the act: after a crash from here on it can be restored
        sysctl.write_text(value)


def release(holder: str, only: str | None = None) -> tuple[str, ...]:
    """Release a holder's sysctls, or `only` one; when its last holder releases it, restore it.

    Says what became of each that nobody holds any more. Raises: OSError, CannotTell.
    """
    outcomes: list[str] = []
    with _table() as table:
        for key, held in list(table.items()):
            if holder not in held.holders or only not in {None, key}:
                continue
            held.holders.remove(holder)
            if not held.holders:
                del table[key]
                outcomes += _restore(key, held)
        _write(table)
    return tuple(outcomes)


def _restore(key: str, held: _Held) -> Iterator[str]:
    sysctl = _file(key)
    current = sysctl.read_text().strip() if sysctl.exists() else held.former
    if current == held.former:
        return
    if key == "net.ipv4.ip_forward" and "docker0" in dict(socket.if_nameindex()).values():
        yield f"hold on sysctl {key} (it stays on: Docker's bridge is here)"
    elif current != (held.value or current):
        yield f"hold on sysctl {key} (another program has changed it: it stays)"
    else:
        sysctl.write_text(held.former)
        yield f"sysctl {key} (back to {held.former})"


def holder(instance: str) -> str:
    """Name the namespace world of an instance among the holders."""
    return f"{instance}/net"


def held_by(holder: str) -> frozenset[str]:
    """List the sysctls that a holder holds. Raises: CannotTell."""
    return frozenset(key for key, held in _read().items() if holder in held.holders)


def former(key: str) -> str | None:
    """Give the value that a sysctl had before it was held; None: nobody holds it.

    Raises: CannotTell.
    """
    held = _read().get(key)
    return None if held is None else held.former


@contextmanager
def _table() -> Iterator[dict[str, _Held]]:
    """Read the table with its directory locked: so there is no lock file to leave or remove."""
    while True:
        try:
            paths.RUN.mkdir(parents=True, exist_ok=True)
            directory = os.open(paths.RUN, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # another command removed it, empty, between the two calls
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            if os.fstat(directory).st_nlink:  # else it was removed before we had the lock
                yield _read()
                return
        finally:
            os.close(directory)


def _read() -> dict[str, _Held]:
    remedy = "look at it, then remove it"
    return records.read(paths.RUN / "switches.json", _JSON, remedy) or {}


def _write(table: dict[str, _Held]) -> None:
    if table:
        records.write(paths.RUN / "switches.json", _JSON, table)
    else:
        files.remove(paths.RUN / "switches.json")


def _file(key: str) -> Path:
    return procfs.PROC / procfs.sysctl_path(key)

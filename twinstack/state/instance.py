"""What an instance must remember: who is changing it now, and what cannot carry a mark.

The journal is written before the act, so a crash at any moment leaves a record of what may
have been made: names about to be created, former values of the host's switches. It lives under
/run/twinstack/INSTANCE with the lock; a reboot forgets both, and all that they speak of.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from twinstack.errors import CannotTell, Locked, Missing

RUN = Path("/run/twinstack")
LIB = Path("/var/lib/twinstack")
#: How long the children of a killed holder are waited for, and how often is looked.
_DYING_S, _LOOK_S = 5.0, 0.02


@dataclass(frozen=True, slots=True)
class InstancePaths:
    """The directories of one instance."""

    instance: str

    @property
    def run(self) -> Path:
        return RUN / self.instance

    @property
    def lib(self) -> Path:
        """Give where the namespace world keeps its data; Docker's lies beside it."""
        return LIB / self.instance / "net"

    @property
    def log(self) -> Path:
        return self.lib / "log"


@dataclass(frozen=True, slots=True)
class Journal:
    """What cannot carry our mark, or cannot carry it from its first moment on.

    `intended`: names of namespaces and links that an `up` set out to make.
    `mounted_pins`: whether /run/netns was made a mount by us. `tables`: iptables tables that
    nobody used before us. `shape` and `limited` are those of the plan that was last brought
    about, `bare` says that it was brought about without its processes, `policy` that its flows are
    enforced: what runs does not tell.
    """

    intended: tuple[str, ...] = ()
    mounted_pins: bool = False
    shape: str | None = None
    limited: bool = True
    tables: tuple[str, ...] = ()
    bare: bool = False
    policy: bool = True

    @property
    def empty(self) -> bool:
        return self == Journal()


def read_journal(places: InstancePaths) -> Journal:
    """Read what was recorded; an absent journal is an empty one.

    Raises: CannotTell when it is there and cannot be understood.
    """
    path = places.run / "journal.json"
    try:
        return _journal(json.loads(path.read_text()))
    except FileNotFoundError:
        return Journal()
    except (OSError, ValueError, TypeError, KeyError) as error:
        remedy = f'look at it, then remove it and run "invoke clean" (instance {places.instance})'
        raise CannotTell(str(path), "cannot be understood", str(error), remedy) from error


def _journal(written: dict[str, Any]) -> Journal:
    """Make a journal of what was written. Raises: TypeError, KeyError, ValueError."""
    journal = replace(
        Journal(**written),
        intended=tuple(written["intended"]),
        tables=tuple(written["tables"]),
    )
    sound = (
        isinstance(written["intended"], list)
        and isinstance(written["tables"], list)
        and isinstance(journal.bare, bool)
        and isinstance(journal.policy, bool)
        and isinstance(journal.mounted_pins, bool)
        and isinstance(journal.limited, bool)
        and isinstance(journal.shape, str | None)
    )
    if not sound:
        raise ValueError("its values are not of the kinds that belong there")
    return journal


def write_journal(places: InstancePaths, journal: Journal) -> None:
    """Record, whole or not at all; an empty journal is no file."""
    path = places.run / "journal.json"
    if journal.empty:
        path.unlink(missing_ok=True)
        path.with_suffix(".new").unlink(missing_ok=True)
        return
    places.run.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(journal), indent=1, sort_keys=True))
    fresh.replace(path)


def _taken(path: Path, places: InstancePaths) -> int:
    """Open and lock the file that is at `path` once it is locked.

    A holder that was killed may have children at work, which hold the lock with it until they have
    died too: for those we wait. Raises: Locked.
    """
    deadline_s = time.monotonic() + _DYING_S
    while True:
        try:
            # Root's alone: to open it for services is a step of `up`, as `net.plan` says.
            places.run.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # the directory was removed by a `down` that ended just now
        except PermissionError as error:
            raise Missing(
                f"instance {places.instance}",
                "cannot be changed",
                "this needs root",
                "run it with sudo",
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        except BlockingIOError as error:
            holder = os.pread(handle, 200, 0).decode(errors="replace") or "another command"
            os.close(handle)
            if _is_over(holder) and time.monotonic() < deadline_s:
                time.sleep(_LOOK_S)
                continue
            raise Locked(
                f"instance {places.instance}",
                "is being changed",
                f"by {holder}",
                "wait for it to end",
            ) from error
        os.close(handle)  # a `down` removed the file between our opening and our locking it


def _is_over(holder: str) -> bool:
    """Tell whether whoever wrote itself into a lock's file has ended. Source: proc_pid_stat(5)."""
    word, _, rest = holder.partition(" ")
    pid = rest.partition(" ")[0]
    if word != "pid" or not pid.isdigit():
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in {"Z", "X"}


@contextmanager
def locked(places: InstancePaths, world: str) -> Iterator[None]:
    """Keep every other command from changing a world of this instance meanwhile.

    The kernel drops the lock when its holder dies. Raises: Locked, naming the holder.
    """
    path = places.run / f"{world}.lock"
    handle = _taken(path, places)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"pid {os.getpid()} ({' '.join(sys.argv[:3])})".encode(), 0)
        yield
    finally:
        os.close(handle)


def remove_run(places: InstancePaths, world: str) -> None:
    """Remove the lock of a world, and the directories that are empty after it."""
    (places.run / f"{world}.lock").unlink(missing_ok=True)
    for directory in (places.run, RUN):
        try:
            directory.rmdir()
        except OSError:
            return

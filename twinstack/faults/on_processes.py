"""Effects on a replica's processes, and on what runs the world."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from twinstack.errors import StepFailed
from twinstack.linux import cgroup, procfs
from twinstack.linux.process import run
from twinstack.linux.procfs import start_ticks, stat
from twinstack.world import LocalWorld

_WITHIN_S, _POLL_S = 5.0, 0.02


def _members(path: str) -> tuple[int, ...]:
    """List the processes in a cgroup of ours."""
    return cgroup.ControlGroup.at(path.lstrip("/"), cgroup.read_layout()).processes()


def _signalled(path: str, number: signal.Signals) -> tuple[int, ...]:
    """Signal every process in a cgroup of ours, and list them."""
    members = _members(path)
    for pid in members:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    return members


@dataclass(frozen=True, slots=True)
class Killed:
    """Every process of a replica got SIGKILL at once; what runs the world starts it again."""

    cgroup: str  # below each controller's mount
    kind: Literal["killed"] = "killed"

    def begin(self, world: LocalWorld) -> None:
        before = {pid: start_ticks(pid) for pid in _signalled(self.cgroup, signal.SIGKILL)}
        _await(self.cgroup, lambda: all(start_ticks(pid) != at for pid, at in before.items() if at))

    def end(self, world: LocalWorld | None) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Suspended:
    """Every process of a replica got SIGSTOP: its connections stay open and nothing answers."""

    cgroup: str
    kind: Literal["suspended"] = "suspended"

    def begin(self, world: LocalWorld) -> None:
        def stands() -> bool:  # again, for a process that was made meanwhile
            return all(map(_stands, _signalled(self.cgroup, signal.SIGSTOP)))

        _await(self.cgroup, stands)

    def end(self, world: LocalWorld | None) -> None:
        _signalled(self.cgroup, signal.SIGCONT)


def _stands(pid: int) -> bool:
    try:
        return stat(pid).state in "TZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _await(what: str, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while not done():
        if time.monotonic() > deadline:
            raise StepFailed(what, "does not obey a signal", f"within {_WITHIN_S:g} s")
        time.sleep(_POLL_S)


@dataclass(frozen=True, slots=True)
class StoppedReplica:
    """A replica was stopped in an orderly way, by what runs the world."""

    replica: str
    kind: Literal["stopped"] = "stopped"

    def begin(self, world: LocalWorld) -> None:
        world.stop(self.replica)

    def end(self, world: LocalWorld | None) -> None:
        if world is not None:  # else `up` starts it, and `down` has nothing to stop
            world.start(self.replica)


@dataclass(frozen=True, slots=True)
class Emptied:
    """A store lost its files and was killed, so it comes back with nothing."""

    cgroup: str
    directory: str  # of its data, by way of its main process's root
    kind: Literal["emptied"] = "emptied"

    def begin(self, world: LocalWorld) -> None:
        for path in Path(self.directory).iterdir() if self.directory else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        Killed(self.cgroup).begin(world)

    def end(self, world: LocalWorld | None) -> None:
        pass


@dataclass(frozen=True, slots=True)
class EngineKilled:
    """What runs the world (supervisord, dockerd) got SIGKILL, and starts nothing again."""

    pid: int
    started: int  # clock ticks since boot
    kind: Literal["engine killed"] = "engine killed"

    def begin(self, world: LocalWorld) -> None:
        if start_ticks(self.pid) == self.started:
            os.kill(self.pid, signal.SIGKILL)
        _await(f"process {self.pid}", lambda: start_ticks(self.pid) != self.started)

    def end(self, world: LocalWorld | None) -> None:
        if world is not None:  # else `up` and `down` start what they need
            world.revive()


#: The threads that keep limits on new processes, each with what ends it.
_KEEPERS: dict[Full, tuple[threading.Thread, threading.Event]] = {}


@dataclass(frozen=True, slots=True)
class Full:
    """A replica can write to no file (RLIMIT_FSIZE 0), nor can what is started in its place.

    A process gets EFBIG where a full disk gives ENOSPC: the disk is the host's, and stays as it is.
    Source: prlimit(2).
    """

    cgroup: str
    program: str  # of the processes that it is for: what starts them is left alone
    kind: Literal["full"] = "full"

    def begin(self, world: LocalWorld) -> None:
        stop = threading.Event()
        thread = threading.Thread(target=self._keep, args=(stop,), daemon=True)
        _KEEPERS[self] = (thread, stop)
        self._limit(0)
        thread.start()

    def end(self, world: LocalWorld | None) -> None:
        if self in _KEEPERS:
            thread, stop = _KEEPERS.pop(self)
            stop.set()
            thread.join()
        self._limit(1)

    def _keep(self, stop: threading.Event) -> None:
        while not stop.wait(_POLL_S):
            self._limit(0)

    def _limit(self, most: int) -> None:
        soft = "unlimited" if most else "0"
        for pid in _members(self.cgroup):
            with suppress(OSError):  # it has ended
                place = procfs.PROC / str(pid)
                limits = (place / "limits").read_text()
                if (place / "comm").read_text().strip() == self.program and not re.search(
                    rf"Max file size +{soft} ", limits
                ):
                    # As its own user: root may lack CAP_SYS_RESOURCE, and raises no hard limit.
                    owner = place.stat()
                    user = f"setpriv --reuid={owner.st_uid} --regid={owner.st_gid} --clear-groups"
                    run(f"{user} prlimit --pid={pid} --fsize={soft}:".split(), check=False)

"""The record of the drill that is under way in an instance, and of the attempts that are over.

The first lies under /run/twinstack/INSTANCE and is written before the act, so that whatever ended
the command there is a way back. The second is lasting data: what a teacher's table is made of.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, with_config

from twinstack.errors import TwinstackError
from twinstack.linux import files, procfs
from twinstack.state import records
from twinstack.state.lock import is_mine, locked, remove_run
from twinstack.state.paths import LIB, InstancePaths

DrilledWorld = Literal["net", "docker", "overlay"]
Phase = Literal["starting", "there", "stopping"]
Outcome = Literal["solved", "shown", "given up", "ended by down"]
#: Each hint costs more than the one before; who is shown the solution keeps none.
POINTS, HINT_COSTS = 100, (10, 20, 30)
_TIMEOUT_S = 30.0
#: How the world was before the drill, and what is under way: in this order they go.
_FILES = ("drill-before.json", "drill.json")


@with_config(ConfigDict(strict=True, extra="forbid"))
@dataclass(frozen=True, slots=True)
class Underway:
    """A drill that is under way. Units: `started` in seconds since 1970."""

    drill: str
    world: DrilledWorld
    shape: str
    target: str
    seed: int
    student: str
    started: float
    phase: Phase = "starting"
    hints: int = 0  # that were given
    checks: int = 0  # that did not end it
    shown: bool = False  # its solution
    undo: tuple[str, ...] = ()  # as the shell runs it, for who has no world to ask
    pids: Mapping[int, int] = field(default_factory=dict)  # that `undo` may name → start in ticks

    @property
    def points(self) -> int:
        """What solving it would give now."""
        return 0 if self.shown else POINTS - sum(HINT_COSTS[: self.hints])


@with_config(ConfigDict(strict=True, extra="forbid"))
@dataclass(frozen=True, slots=True)
class DrillAttempt:
    """A drill that is over. Units: seconds; `started` since 1970."""

    drill: str
    world: DrilledWorld
    shape: str
    target: str
    seed: int
    student: str
    started: float
    seconds: float
    hints: int
    checks: int  # that did not end it
    outcome: Outcome
    points: int


@dataclass(frozen=True, slots=True)
class Attempts:
    """The drills that are over."""

    attempts: tuple[DrillAttempt, ...]


_UNDERWAY = TypeAdapter(Underway)
_ATTEMPTS = TypeAdapter(tuple[DrillAttempt, ...])


def read(instance: str) -> Underway | None:
    """Read which drill is under way; None for none. Raises: CannotTell."""
    remedy = 'look at it, remove it, then take the world down ("invoke net.down") and up'
    return records.read(InstancePaths(instance).run / "drill.json", _UNDERWAY, remedy)


def write(instance: str, underway: Underway) -> None:
    """Record the drill that is under way. Raises: OSError."""
    records.write(InstancePaths(instance).run / "drill.json", _UNDERWAY, underway)


def attempts(instance: str) -> tuple[DrillAttempt, ...]:
    """Read the attempts that are over, the oldest first. Raises: CannotTell."""
    path = LIB / instance / "drills.json"
    return records.read(path, _ATTEMPTS, "look at it, then remove it") or ()


def kept(instance: str) -> tuple[str, ...]:
    """Name the file of the attempts, if there is one."""
    path = LIB / instance / "drills.json"
    return (f"data {path}",) if path.exists() else ()


def forget_attempts(instance: str) -> tuple[str, ...]:
    """Remove the attempts, and name what was removed."""
    names = kept(instance)
    files.remove(LIB / instance / "drills.json")
    with suppress(OSError):  # a world keeps its own things there
        (LIB / instance).rmdir()
    return names


def close(instance: str, underway: Underway, outcome: Outcome) -> DrillAttempt:
    """Note that a drill is over, and how; then forget that it was under way. Raises: OSError."""
    attempt = DrillAttempt(
        underway.drill,
        underway.world,
        underway.shape,
        underway.target,
        underway.seed,
        underway.student,
        underway.started,
        round(time.time() - underway.started, 1),
        underway.hints,
        underway.checks,
        outcome,
        underway.points if outcome == "solved" else 0,
    )
    earlier = attempts(instance)
    if not earlier or replace(earlier[-1], seconds=attempt.seconds) != attempt:  # noted by a
        records.write(LIB / instance / "drills.json", _ATTEMPTS, (*earlier, attempt))  # killed one
    forget(instance)
    return attempt


def forget(instance: str) -> None:
    """Forget that a drill was under way, and how the world was before it. Raises: OSError."""
    run = InstancePaths(instance).run
    for name in _FILES:
        files.remove(run / name)


def refuse(instance: str, world: DrilledWorld, task: str) -> None:
    """Refuse to change a world that a drill is under way in. Raises: TwinstackError; CannotTell."""
    underway = read(instance)
    if underway and underway.world == world and underway.phase != "stopping":
        cause = "a drill is under way"
        remedy = 'repair it by hand, or run "invoke drill.stop"'
        raise TwinstackError(task, "is refused", cause, remedy)


def take_away(instance: str, world: DrilledWorld, prefix: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Take a drill's fault away before its world is taken down, and name it; past failures.

    Nothing is done for the command that takes the drill out itself. Raises: Locked while another
    acts on the drill; CannotTell.
    """
    paths = InstancePaths(instance)
    if not any((paths.run / name).exists() for name in (*_FILES, "drill.lock")):
        return ()
    if is_mine(paths, "drill"):
        return ()
    with locked(paths, "drill"):
        try:
            return _ended(instance, world, prefix)
        finally:
            remove_run(paths, "drill")


def _ended(instance: str, world: DrilledWorld, prefix: tuple[str, ...]) -> tuple[str, ...]:
    underway = read(instance)
    if underway is None:
        forget(instance)  # somebody removed the record alone
    if underway is None or underway.world != world:
        return ()
    for command in underway.undo:
        if is_safe(command, underway.pids):
            run(command, prefix)
    close(instance, underway, "ended by down")
    return (f"drill {underway.drill}",)


def is_safe(command: str, pids: Mapping[int, int]) -> bool:
    """Tell whether the processes that a command may name are those that it was written for."""
    return not any(
        str(pid) in command and procfs.start_ticks(pid) != started for pid, started in pids.items()
    )


def run(command: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a shell's command, bounded in time; it ends with its caller.

    `prefix`: the words that enter the host's namespace. An exit code of 124 is "did not end".
    """
    dying = ("setpriv", "--pdeathsig", "KILL")
    bounded = (*dying, "timeout", "--kill-after=1", f"{_TIMEOUT_S:g}", *dying)
    return subprocess.run(
        [*prefix, *bounded, "sh", "-c", command],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )

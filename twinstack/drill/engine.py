"""Put a drill into a running world, and take it out again: every command that ends half way is
followed by a record that the next one starts from.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from twinstack.drill import snapshot
from twinstack.drill.catalogue import DRILLS
from twinstack.drill.difference import Difference
from twinstack.drill.drill import Drill
from twinstack.drill.restore import Restorer
from twinstack.drill.shell import Shell
from twinstack.drill.site import Site
from twinstack.errors import Missing, StepFailed, TwinstackError, WrongUse
from twinstack.faults import drill_record as record
from twinstack.faults import record as faults
from twinstack.faults.drill_record import Attempt, Underway
from twinstack.linux import procfs
from twinstack.reconcile import Progress
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.world import LocalWorld, require_root

#: How long a symptom may take to show, and a repair to be felt. Units: seconds.
SHOWS_WITHIN_S, FELT_WITHIN_S = 20.0, 8.0
_POLL_S = 0.3


@dataclass(frozen=True, slots=True)
class Begun:
    """A drill that was put."""

    drill: str
    area: str
    level: int
    world: str
    shape: str
    symptom: str
    seed: int


@contextmanager
def drilling(instance: str) -> Iterator[None]:
    """Let one command at a time act on the drill of an instance. Raises: Locked; Missing."""
    require_root("drill")
    paths = InstancePaths(instance)
    with locked(paths, "drill"):
        try:
            yield
        finally:
            remove_run(paths, "drill")


def find(name: str) -> Drill:
    """Give a drill by its name. Raises: WrongUse."""
    for drill in DRILLS:
        if drill.name == name:
            return drill
    raise WrongUse(f"drill {name}", "is unknown", "", 'see "invoke drill.list"')


def fitting(world: str, shape: str, level: int = 0) -> tuple[Drill, ...]:
    """List the drills that a world in a shape can have; `level` 0: of any."""
    return tuple(
        drill
        for drill in DRILLS
        if world in drill.worlds and shape in drill.shapes and level in {0, drill.level}
    )


def choose(world: str, shape: str, name: str, level: int, seed: int) -> tuple[Drill, str]:
    """Give the named drill, or draw one; and its target. Raises: WrongUse."""
    draw = random.Random(seed)
    candidates = fitting(world, shape, level)
    if name:
        drill = find(name)
        if drill not in fitting(world, shape):
            cause = f"it is for {' and '.join(drill.worlds)}, {' and '.join(drill.shapes)}"
            remedy = 'see "invoke drill.list"'
            raise WrongUse(f"drill {name}", f"cannot be put into {world}, {shape}", cause, remedy)
    elif not candidates:
        cause = f"no drill of level {level} is for {world}, {shape}"
        raise WrongUse("--level", f"cannot be {level}", cause, "choose another level")
    else:
        drill = draw.choice(candidates)
    return drill, draw.choice(drill.targets) if drill.targets else ""


def underway_of(instance: str) -> Underway:
    """Give the drill that is under way. Raises: Missing; CannotTell."""
    underway = record.read(instance)
    if underway is None:
        raise Missing("drill", "has nothing to act on", "none is under way", "run drill.start")
    return underway


def start(
    world: LocalWorld, name: str, *, level: int, seed: int, student: str, progress: Progress
) -> Begun:
    """Put a drill into a world that is up and as declared, and see that its symptom shows.

    Raises: WrongUse; Missing; TwinstackError where the world is not as declared, or another drill
    or fault is in it; StepFailed when it cannot be put: then it was taken away again.
    """
    instance, shape = world.plan.instance, world.plan.shape
    drill, target = choose(world.name, shape, name, level, seed)
    with drilling(instance):
        if other := record.read(instance):
            cause, remedy = f"the drill {other.drill} is under way", 'end it with "drill.stop"'
            raise TwinstackError("drill.start", "is refused", cause, remedy)
        with locked(InstancePaths(instance), world.name):
            _require_sound(world)
            site = Site(world, target)
            shell = Shell.of(world)
            probes = tuple(map(site.written, drill.probes))
            for probe in probes:
                if not shell.holds(probe):
                    cause, remedy = f"this fails: {probe}", f'see "invoke {world.name}.status"'
                    raise TwinstackError("drill.start", "is refused", cause, remedy)
            commands = tuple(map(site.written, drill.put))
            snapshot.write_before(instance, snapshot.take(world))
            undo = tuple(map(site.written, drill.undo or drill.repair))
            pids = {pid: procfs.start_ticks(pid) for pid in world.main_pids().values()}
            begun = Underway(
                drill.name,
                world.name,
                shape,
                target,
                seed,
                student,
                time.time(),
                undo=undo,
                pids=pids,
            )
            record.write(instance, begun)
        try:
            for command in commands:
                shell.do(command)
            if not _await(lambda: not _hold(shell, probes, drill.tries), SHOWS_WITHIN_S):
                cause = "its symptom does not show"
                raise StepFailed(f"drill {drill.name}", "cannot be put", cause, "choose another")
        except TwinstackError as error:
            progress(str(error))
            _take_out(world, drill, replace(begun, phase="stopping"), progress, 60.0)
            record.forget(instance)
            raise
        record.write(instance, replace(begun, phase="there", started=time.time()))
    return Begun(
        drill.name, drill.area, drill.level, world.name, shape, site.written(drill.symptom), seed
    )


def _require_sound(world: LocalWorld) -> None:
    if not world.main_pids():
        raise world.absence()
    if left := faults.left(world.plan.instance, world.name):
        remedy = f'run "invoke {world.name}.up"'
        raise TwinstackError("drill.start", "is refused", f"{left[0]} is in the world", remedy)
    wrong = [
        f"{state.name} is {state.state}" for state in world.status() if state.state != "healthy"
    ]
    preview = world.preview()
    wrong += [preview.refused] if preview.refused else []
    wrong += [f"{change.step.name}: {change.reason}" for change in preview.changes]
    if wrong:
        cause, remedy = f"the world is not as declared: {wrong[0]}", f'run "invoke {world.name}.up"'
        raise TwinstackError("drill.start", "is refused", cause, remedy)


def _hold(shell: Shell, probes: tuple[str, ...], tries: int) -> bool:
    return all(shell.holds(probe) for probe in probes for _ in range(tries))


def hold(world: LocalWorld, drill: Drill, target: str) -> bool:
    """Tell whether every probe holds, each as often as the drill says."""
    site = Site(world, target)
    try:
        probes = tuple(map(site.written, drill.probes))
    except TwinstackError:  # what they name is not there
        return False
    return _hold(Shell.of(world), probes, drill.tries)


def _await(truth, within_s: float) -> bool:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + within_s
    while not truth():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def await_held(world: LocalWorld, drill: Drill, target: str, within_s: float) -> bool:
    """Wait until every probe holds; give whether it came to that."""
    return bool(_await(lambda: hold(world, drill, target), within_s))


def stop(
    world: LocalWorld, *, timeout_s: float, progress: Progress
) -> tuple[Attempt, tuple[Difference, ...]]:
    """Take a drill out whatever was done meanwhile; give what strangers lost or gained meanwhile.

    Raises: Missing when there is none; what keeps the world from being restored.
    """
    instance = world.plan.instance
    with drilling(instance):
        underway = underway_of(instance)
        underway = replace(underway, phase="stopping")
        record.write(instance, underway)
        left = _take_out(world, find(underway.drill), underway, progress, timeout_s)
        outcome: record.Outcome = "shown" if underway.shown else "given up"
        return record.close(instance, underway, outcome), left


def _take_out(
    world: LocalWorld, drill: Drill, underway: Underway, progress: Progress, timeout_s: float
) -> tuple[Difference, ...]:
    """Undo, then bring the world back to what it was. Raises: as `stop`; its record stays."""
    instance = world.plan.instance
    record.write(instance, underway)
    undo(world, drill, underway)
    before = snapshot.read_before(instance)
    if before is None:  # killed before anything was done
        return ()
    left = Restorer(world, before, progress, timeout_s).restore()
    if not await_held(world, drill, underway.target, timeout_s):
        progress("the symptom still shows: the whole world is made again")
        world.down(progress=lambda _line: None)
        world.up(timeout_s=timeout_s, progress=lambda _line: None)
    if ours := [each for each in left if each.ours]:
        raise StepFailed(
            f"drill {drill.name}",
            "is not wholly taken away",
            "; ".join(map(str, ours[:5])),
            f'run "invoke {world.name}.down", then "invoke {world.name}.up"',
        )
    return left


def undo(world: LocalWorld, drill: Drill, underway: Underway) -> None:
    """Run the commands that take the fault away, past failures, as the world names them now."""
    site, shell = Site(world, underway.target), Shell.of(world)
    written = underway.undo
    for number, command in enumerate(drill.undo or drill.repair):
        text = ""
        with suppress(TwinstackError, KeyError, OSError):
            text = site.written(command)
        if not text and number < len(written) and record.is_safe(written[number], underway.pids):
            text = written[number]
        if text:
            shell.run(text)

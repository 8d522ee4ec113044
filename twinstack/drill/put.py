"""Put a drill into a running world: what was there is written down first, then what is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from twinstack.drill import snapshot, take_out
from twinstack.drill.choose import choose
from twinstack.drill.drill import Drill
from twinstack.drill.ground import AnyWorld, changing, site_of
from twinstack.drill.overlay_site import OverlaySite
from twinstack.drill.shell import Shell
from twinstack.drill.site import Site
from twinstack.drill.under_way import POLL_S, all_hold, drilling
from twinstack.errors import StepFailed, TwinstackError
from twinstack.faults import drill_record as record
from twinstack.faults import record as faults
from twinstack.faults.drill_record import Underway
from twinstack.linux import procfs
from twinstack.linux.waiting import until
from twinstack.reconcile import Progress

#: How long a symptom may take to show. Units: seconds.
_SHOWS_WITHIN_S, _BACK_WITHIN_S = 20.0, 60.0


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


def start(
    world: AnyWorld, name: str, *, level: int, seed: int, student: str, progress: Progress
) -> Begun:
    """Put a drill into a world that is up and as declared, and see that its symptom shows.

    Raises: WrongUse; Missing; TwinstackError where the world is not as declared, or another drill
    or fault is in it; StepFailed when it cannot be put: then it was taken away again.
    """
    instance, shape = world.plan.instance, world.plan.shape
    drill, target = choose(world.name, shape, name, level, seed)
    site, shell = site_of(world, target), Shell.of(world)
    with drilling(instance):
        if other := record.read(instance):
            # Not its name: who looks for it may not know it.
            cause = f"a drill is under way in the {other.world} world"
            raise _refused(cause, 'end it with "invoke drill.stop"')
        with changing(world):
            _require_sound(world)
            probes, commands, undo = written(site, drill)
            if failing := [probe for probe in probes if not shell.holds(probe)]:
                raise _refused(f"this fails already: {failing[0]}")
            symptom = site.written(drill.symptom)
            begun = Underway(
                drill.name,
                world.name,
                shape,
                target,
                seed,
                student,
                time.time(),
                undo=undo,
                pids={pid: procfs.start_ticks(pid) for pid in world.main_pids().values()},
            )
            before = snapshot.take(world)
            try:
                record.write(instance, begun)
                snapshot.write_before(instance, before)
            except OSError:  # a full disk: nothing was done yet
                record.forget(instance)
                raise
            failure = _put(shell, drill, commands, probes)
            if failure is None:
                record.write(instance, replace(begun, phase="there", started=time.time()))
        if failure is not None:
            progress(f"{failure}: taking it away again")
            stopping = replace(begun, phase="stopping")
            take_out.take_out(world, drill, stopping, progress, _BACK_WITHIN_S)
            record.forget(instance)
            raise failure
    return Begun(drill.name, drill.area, drill.level, world.name, shape, symptom, seed)


def written(
    site: Site | OverlaySite, drill: Drill
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Give a drill's probes, what puts it and what takes it away, as a world names it.

    Raises: TwinstackError where the world has not all that it needs.
    """
    try:
        probes, put, undo = (
            tuple(map(site.written, each))
            for each in (drill.probes, drill.put, drill.undo or drill.repair)
        )
    except KeyError as error:  # services may be scaled, and not be declared
        raise _refused(f"the world has no {error.args[0]}", 'see "invoke drill.list"') from error
    return probes, put, undo


def _put(
    shell: Shell, drill: Drill, commands: tuple[str, ...], probes: tuple[str, ...]
) -> TwinstackError | None:
    """Put a fault, and wait until its symptom shows; give what went wrong."""
    try:
        for command in commands:
            shell.do(command)
    except TwinstackError as error:
        return error
    if until(lambda: not all_hold(shell, probes, drill.tries), _SHOWS_WITHIN_S, POLL_S):
        return None
    return StepFailed(f"drill {drill.name}", "cannot be put", "its symptom does not show")


def _refused(cause: str, remedy: str = "") -> TwinstackError:
    return TwinstackError("drill.start", "is refused", cause, remedy)


def _require_sound(world: AnyWorld) -> None:
    """Check that a world is up and as declared. Raises: its absence; TwinstackError."""
    if not world.main_pids():
        raise world.absence()
    if wrong := next(_wrong(world), ""):
        raise _refused(wrong, f'run "invoke {world.name}.up"')


def _wrong(world: AnyWorld) -> Iterator[str]:
    if world.name != "overlay":
        for fault in faults.left(world.plan.instance, world.name):
            yield f"{fault} is in the world"
    for state in world.status():
        if state.state != "healthy":
            yield f"{state.name} is {state.state}"
    preview = world.preview()
    if preview.refused:
        yield preview.refused
    for change in preview.changes:
        yield f"{change.step.name} {change.reason}"

"""Take a drill out of a world, whatever was done to it meanwhile, and from whatever moment."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial

from twinstack.drill import snapshot
from twinstack.drill.difference import Difference
from twinstack.drill.drill import Drill
from twinstack.drill.ground import AnyWorld, site_of
from twinstack.drill.restore import Restorer
from twinstack.drill.shell import Shell
from twinstack.drill.under_way import drill_of, drilling, sound_within, underway_of
from twinstack.errors import StepFailed, TwinstackError
from twinstack.faults import drill_record as record
from twinstack.faults.drill_record import DrillAttempt, Underway
from twinstack.reconcile import Progress

_SOUND_WITHIN_S = 15.0


def stop(
    world: AnyWorld, *, timeout_s: float, progress: Progress
) -> tuple[DrillAttempt, tuple[Difference, ...]]:
    """Take a drill out; give its attempt, and what strangers lost or gained meanwhile.

    Raises: Missing when there is none; what keeps the world from being restored: its record stays.
    """
    instance = world.plan.instance
    with drilling(instance):
        underway = replace(underway_of(instance), phase="stopping")
        left = take_out(world, drill_of(underway), underway, progress, timeout_s)
        outcome: record.Outcome = "shown" if underway.shown else "given up"
        return record.close(instance, underway, outcome), left


def take_out(
    world: AnyWorld, drill: Drill, underway: Underway, progress: Progress, timeout_s: float
) -> tuple[Difference, ...]:
    """Undo, then bring the world back to what it was; give what strangers lost or gained.

    Raises: what keeps the world from being restored; StepFailed when something still differs.
    """
    instance = world.plan.instance
    record.write(instance, underway)
    before = snapshot.read_before(instance)
    undo = partial(_undo, world, drill, underway)
    if before is None:  # killed before it was written, or somebody removed it
        progress("how the world was before the drill is not noted: nothing can be compared")
        undo()
        world.up(timeout_s=timeout_s, progress=lambda _line: None)
        return ()
    sound = partial(sound_within, world, drill, underway.target, _SOUND_WITHIN_S)
    undo()
    restorer = Restorer(world, before, progress, timeout_s, undo)
    left = restorer.restore()
    gone = sound()
    for again in (undo, restorer.remake):  # a store that it is in may have been down before
        if not gone:
            again()
            gone, left = sound(), restorer.differing()
    ours = [str(each) for each in left if each.ours]
    if not gone:
        ours.append("its symptom is still there")
    if ours:
        remedy = f'run "invoke {world.name}.down", then "invoke {world.name}.up"'
        failure = "is not wholly taken away"
        raise StepFailed(f"drill {drill.name}", failure, "; ".join(ours[:5]), remedy)
    return left


def _undo(world: AnyWorld, drill: Drill, underway: Underway) -> None:
    """Run the commands that take the fault away, past failures, as the world names them now."""
    site, shell = site_of(world, underway.target), Shell.of(world)
    for command, written in zip(drill.undo or drill.repair, underway.undo, strict=False):
        text = written if record.is_safe(written, underway.pids) else ""
        with suppress(TwinstackError, KeyError, OSError):
            text = site.written(command)
        if text:
            shell.run(text)

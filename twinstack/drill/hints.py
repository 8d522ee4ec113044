"""Help a student: hints, each of which says more and costs more, and at last the solution."""

from __future__ import annotations

from dataclasses import dataclass, replace

from twinstack.drill.check import Checked, check
from twinstack.drill.ground import AnyWorld, site_of
from twinstack.drill.shell import Shell
from twinstack.drill.under_way import drill_of, drilling, put_of, underway_of
from twinstack.errors import StepFailed, TwinstackError
from twinstack.faults import drill_record as record
from twinstack.faults.drill_record import HINT_COSTS
from twinstack.reconcile import Progress


@dataclass(frozen=True, slots=True)
class Hint:
    """One hint of a drill."""

    drill: str
    number: int
    text: str
    cost: int
    points: int  # that are left


def hint(world: AnyWorld) -> Hint:
    """Give the next hint, and note it. Raises: Missing; TwinstackError after the last."""
    instance = world.plan.instance
    with drilling(instance):
        underway = underway_of(instance)
        drill = drill_of(underway)
        if underway.hints >= len(drill.hints):
            cause = f"all {len(drill.hints)} were given"
            raise TwinstackError("drill.hint", "has no more", cause, 'see "invoke drill.solve"')
        text = site_of(world, underway.target).written(drill.hints[underway.hints])
        taken = replace(underway, hints=underway.hints + 1)
        record.write(instance, taken)
        return Hint(drill.name, taken.hints, text, HINT_COSTS[taken.hints - 1], taken.points)


@dataclass(frozen=True, slots=True)
class Solution:
    """The reference repair of a drill, as it was run."""

    drill: str
    commands: tuple[str, ...]
    explanation: str
    checked: Checked


def solve(world: AnyWorld, *, progress: Progress) -> Solution:
    """Run the reference repair word for word, explain it, and check. Raises: as `check`."""
    instance = world.plan.instance
    with drilling(instance):
        underway = put_of(instance)
        drill = drill_of(underway)
        record.write(instance, replace(underway, shown=True))
        site, shell = site_of(world, underway.target), Shell.of(world)
        commands = []
        for command in drill.repair:
            commands.append(site.written(command))  # as the world names it by now
            progress(f"$ {commands[-1]}")
            try:
                shell.do(commands[-1])
            except StepFailed as error:  # a part was repaired by hand, or by a killed `solve`
                progress(str(error))
        explanation = site.written(drill.explanation)
    return Solution(drill.name, tuple(commands), explanation, check(world, within_s=20.0))

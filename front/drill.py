"""The tasks of drills: a fault of the running stack to be found and repaired by hand."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoke.context import Context

from front import tables
from front.options import WORLDS, none_up, one_of, running, world_of
from front.reporting import answer, say, task, width
from twinstack import stack
from twinstack.errors import NOT_SO, Missing, WrongUse
from twinstack.model import bounds
from twinstack.world import require_root

if TYPE_CHECKING:  # listing the tasks loads no world
    from twinstack.drill.check import Checked
    from twinstack.drill.ground import AnyWorld
    from twinstack.drill.hints import Hint
    from twinstack.drill.put import Begun

_LEVELS, _LONGEST_NAME = 4, 60
_RULES = (
    "A drill is worth 100 points; its three hints cost 10, 20 and 30 of them, its solution all."
)


@dataclass(frozen=True, slots=True)
class ListedDrill:
    """A drill: where it can be put."""

    drill: str
    area: str
    level: int
    worlds: tuple[str, ...]
    shapes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedDrills:
    """All drills."""

    drills: tuple[ListedDrill, ...]


@dataclass(frozen=True, slots=True)
class StoppedDrill:
    """A drill that was taken away, and what else changed on the host meanwhile."""

    drill: str
    outcome: str
    strangers: tuple[str, ...]


@task()
def drill_list(_: Context, json: bool = False) -> None:
    """List the drills by area and level: which worlds and shapes can have them."""
    from twinstack.drill.catalogue import DRILLS

    order = sorted(DRILLS, key=lambda each: (each.area, each.level, each.name))
    listed = tuple(
        ListedDrill(each.name, each.area, each.level, each.worlds, each.shapes) for each in order
    )
    header = ("area", "level", "drill", "worlds", "shapes")
    rows = [
        (each.area, str(each.level), each.drill, " ".join(each.worlds), " ".join(each.shapes))
        for each in listed
    ]
    text = f"{tables.columns(header, rows, width(), keep=('drill',))}\n\n{_RULES}"
    answer(json, ListedDrills(listed), text)


@task(
    positional=["name"],
    help={
        "name": "a drill of drill.list; unset: one is drawn, and not named",
        "level": "1 to 4: draw one of this level; 0: of any",
        "seed": "draws the drill and where it is put, the same ones again; negative: a random one",
        "world": "net, docker or overlay; unset: the one that is up",
        "student": "the name to note for drill.report",
    },
)
def drill_start(
    _: Context,
    name: str = "",
    level: int = 0,
    seed: int = -1,
    world: str = "",
    student: str = "",
    json: bool = False,
) -> None:
    """Put a fault into a running world, and say what its users see: find it, and repair it."""
    from twinstack.drill import choose, put

    bounds.within("level", level, 0, _LEVELS)
    if len(student) > _LONGEST_NAME or not student.isprintable():
        cause = f"it is a name of at most {_LONGEST_NAME} printable characters"
        raise WrongUse("--student", "cannot be that", cause, "write a shorter one")
    if name:
        choose.find(name)
    require_root("drill.start")
    chosen = _up(world)
    drawn = seed if seed >= 0 else random.randrange(2**31)
    begun = put.start(chosen, name, level=level, seed=drawn, student=student, progress=say)
    answer(json, begun, _begun_text(begun, name, level))


def _up(name: str) -> AnyWorld:
    """Give the world that is named, or that is up. Raises: WrongUse; Missing."""
    if name:
        one_of("world", name, (*WORLDS, "overlay"))
    for each in (name,) if name else (*WORLDS, "overlay"):
        if each == "overlay":
            if found := _overlay():
                return found
        elif world := running(each):
            return world
    if name == "overlay":
        raise Missing("overlay", "is not up", remedy='run "invoke overlay.up"')
    raise world_of(name).absence() if name else none_up("drill.start", "has nothing to break")


def _overlay(*, present: bool = True) -> AnyWorld | None:
    """Give the overlay as one world; `present`: if it is up."""
    from twinstack.drill.ground import SpreadWorld
    from twinstack.overlay import record

    here = stack.from_environment()
    if present and record.read(here.instance) is None:
        return None
    return SpreadWorld(here.overlay())


def _begun_text(begun: Begun, name: str, level: int) -> str:
    title = f"{begun.drill} ({begun.area}), " if name else ""
    return "\n".join(
        [
            f"{title}level {begun.level}, in the {begun.world} world, {begun.shape}",
            "",
            _wrapped(begun.symptom, "    "),
            "",
            'Find the cause and repair it by hand; then "invoke drill.check".',
            _wrapped(f"{_RULES} The same drill again: {again(name, level, begun.seed)}"),
        ]
    )


def again(name: str, level: int, seed: int) -> str:
    """Write what gives the same drill again: a seed draws among those of the level asked for."""
    if name:
        return f"{name} --seed {seed}"
    return f"--level {level} --seed {seed}" if level else f"--seed {seed}"


def _wrapped(text: str, indent: str = "") -> str:
    """Break a text's lines where the terminal ends."""
    return textwrap.fill(
        text, width(), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _drilled(task_name: str) -> AnyWorld:
    """Give the world of the drill that is under way. Raises: Missing."""
    from twinstack.faults import drill_record

    require_root(task_name)
    here = stack.from_environment()
    underway = drill_record.read(here.instance)
    if underway is None:
        remedy = 'run "invoke drill.start"'
        raise Missing(task_name, "has nothing to act on", "no drill is under way", remedy)
    if underway.world == "overlay":
        overlay = _overlay(present=False)
        assert overlay is not None
        return overlay
    return world_of(underway.world, shape=underway.shape)


@task()
def drill_hint(_: Context, json: bool = False) -> None:
    """Show the next of three hints, each of which says more and costs more."""
    from twinstack.drill import hints

    hint = hints.hint(_drilled("drill.hint"))
    answer(json, hint, _hint_text(hint))


def _hint_text(hint: Hint) -> str:
    left = f"{hint.points} points are left"
    return _wrapped(f"hint {hint.number} of 3 ({hint.cost} points; {left}): {hint.text}")


@task()
def drill_check(_: Context, json: bool = False) -> None:
    """Check a repair: the symptom is gone, all is as declared, nothing else changed."""
    from twinstack.drill import check

    checked = check.check(_drilled("drill.check"))
    answer(json, checked, "\n".join(_checked_lines(checked)), 0 if checked.solved else NOT_SO)


def _checked_lines(checked: Checked) -> Iterator[str]:
    yield checked.sentence
    yield from (f"! {finding}" for finding in checked.findings[1:])
    yield from (f"not judged: {each}" for each in checked.strangers)


@task()
def drill_solve(_: Context, json: bool = False) -> None:
    """Run the reference repair, command by command, explain it, and check; no points are left."""
    from twinstack.drill import hints

    solution = hints.solve(_drilled("drill.solve"), progress=say)
    text = "\n".join([_wrapped(solution.explanation), "", *_checked_lines(solution.checked)])
    answer(json, solution, text, 0 if solution.checked.solved else NOT_SO)


@task()
def drill_stop(_: Context, timeout: int = bounds.UP_TIMEOUT_S, json: bool = False) -> None:
    """Take the fault away, and all that was done meanwhile: the world is as it was before."""
    from twinstack.drill import take_out

    bounds.timeout(timeout)
    world = _drilled("drill.stop")
    attempt, left = take_out.stop(world, timeout_s=timeout, progress=say)
    strangers = tuple(map(str, left))
    lines = [f"{attempt.drill} is taken away: the {attempt.world} world is as it was before it"]
    lines += [f"not ours, and left alone: {each}" for each in strangers]
    answer(json, StoppedDrill(attempt.drill, attempt.outcome, strangers), "\n".join(lines))


@task(help={"student": "only the attempts that have this name"})
def drill_report(_: Context, student: str = "", json: bool = False) -> None:
    """List the attempts that are over: who, which drill, how long, with how many hints."""
    from twinstack.drill.check import duration
    from twinstack.faults import drill_record

    require_root("drill.report")
    kept = drill_record.attempts(stack.from_environment().instance)
    chosen = tuple(each for each in kept if student in {"", each.student})
    header = ("student", "drill", "world", "outcome", "time", "hints", "checks", "points")
    rows = [
        (
            each.student or "-",
            each.drill,
            f"{each.world}, {each.shape}",
            each.outcome,
            duration(each.seconds),
            str(each.hints),
            str(each.checks),
            str(each.points),
        )
        for each in chosen
    ]
    text = tables.columns(header, rows, width(), keep=header) if rows else "No attempt is over."
    answer(json, drill_record.Attempts(chosen), text)

"""Find a drill by its name, or draw one that a world can have; pure."""

from __future__ import annotations

import random

from twinstack.drill.catalogue import DRILLS
from twinstack.drill.drill import Drill
from twinstack.errors import WrongUse

_SEE = 'see "invoke drill.list"'


def find(name: str) -> Drill:
    """Give a drill by its name. Raises: WrongUse."""
    for drill in DRILLS:
        if drill.name == name:
            return drill
    raise WrongUse(f"drill {name}", "is unknown", f"there are {len(DRILLS)} others", _SEE)


def fitting(world: str, shape: str, level: int = 0) -> tuple[Drill, ...]:
    """List the drills that a world in a shape can have; `level` 0: of any."""
    return tuple(
        drill
        for drill in DRILLS
        if world in drill.worlds and shape in drill.shapes and level in {0, drill.level}
    )


def choose(world: str, shape: str, name: str, level: int, seed: int) -> tuple[Drill, str]:
    """Give the named drill, or draw one; and the replica that it is put to. Raises: WrongUse."""
    draw = random.Random(seed)
    drill = _named(world, shape, name) if name else _drawn(draw, world, shape, level)
    return drill, draw.choice(drill.targets) if drill.targets else ""


def _named(world: str, shape: str, name: str) -> Drill:
    drill = find(name)
    if drill not in fitting(world, shape):
        where = f"{', '.join(drill.worlds)} ({', '.join(drill.shapes)})"
        failure = f"cannot be put into {world} ({shape})"
        raise WrongUse(f"drill {name}", failure, f"it is for {where}", _SEE)
    return drill


def _drawn(draw: random.Random, world: str, shape: str, level: int) -> Drill:
    candidates = fitting(world, shape, level)
    if not candidates:
        of_level = f" of level {level}" if level else ""
        cause = f"{world} ({shape}) has none{of_level}"
        raise WrongUse("drill", "cannot be drawn", cause, _SEE)
    return draw.choice(candidates)

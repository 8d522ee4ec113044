"""Which fault strikes what, in which order: drawn from a seed; pure.

The same plan, choices, count and seed give the same strikes. (Which packets `loss` drops is the
kernel's to draw, and moments are as exact as the machine is idle.)
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twinstack.errors import WrongUse
from twinstack.faults.catalogue import FAULTS, find
from twinstack.faults.making import members_of
from twinstack.model.plan import Plan
from twinstack.world import LocalWorld

#: A fault stays between this share of the longest time and all of it.
_LEAST = 0.5
MOST_STRIKES = 10_000


@dataclass(frozen=True, slots=True)
class DrawnFault:
    """One fault to come. Units: seconds."""

    number: int  # alike for faults that come together
    fault: str
    target: str
    seconds: float = 0.0  # that it stays
    after_s: float = 0.0  # the first of its number

    def __str__(self) -> str:
        return f"{self.fault}:{self.target}"


def everything(world: LocalWorld | None = None) -> str:
    """Name every fault that can be put: in a world, `engine` only where the engine is its own."""
    but = "engine" if world and not world.engine_pid() else ""
    faults = (fault.name for fault in FAULTS.values() if not fault.refused)
    return ",".join(name for name in faults if name != but)


def choices(plan: Plan, what: str) -> dict[str, tuple[str, ...]]:
    """Read FAULT[:TARGET][,…]: map each fault to the targets that it may strike.

    A target is a replica, a service (any of its replicas), or for a partition two of those or of
    tiers, as A/B. Without one any will do; without faults, all. Raises: WrongUse.
    """
    found: dict[str, tuple[str, ...]] = {}
    for word in filter(None, map(str.strip, (what or everything()).split(","))):
        name, _, target = word.partition(":")
        fault = find(name)
        targets = fault.targets(plan)
        if target:
            targets = _chosen(plan, fault.name, target, targets)
        if targets:
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), *targets)))
    if not found:
        cause = "nothing here can be struck by it"
        raise WrongUse(f"--what {what}", "names no fault", cause, "see invoke chaos.list")
    return found


def _chosen(plan: Plan, fault: str, target: str, targets: Sequence[str]) -> tuple[str, ...]:
    if target in targets:
        return (target,)
    if any("/" in each for each in targets):
        one, _, other = target.partition("/")
        sides = (members_of(plan, one), members_of(plan, other))
        if set(sides[0]) & set(sides[1]):
            cause, remedy = "both sides hold the same", "name two that differ, as A/B"
            raise WrongUse(f"{fault}:{target}", "divides nothing", cause, remedy)
        return (target,)
    named = tuple(each.name for each in members_of(plan, target) if each.name in targets)
    if not named:
        cause = f"it strikes {', '.join(targets)}"
        raise WrongUse(f"{fault}:{target}", "cannot be", cause, "choose another target")
    return named


def strikes(plan: Plan, what: str, seed: int, longest_s: float) -> Iterator[DrawnFault]:
    """Draw strikes without end: each fault's turn comes about equally often, and so does each of
    its targets'. Units: seconds that a fault stays at most. Raises: as `choices`.
    """
    found, rng = choices(plan, what), random.Random(seed)
    targets = {fault: _in_turn(rng, names) for fault, names in found.items()}
    for number, fault in enumerate(_in_turn(rng, sorted(found)), 1):
        seconds = round(rng.uniform(_LEAST, 1) * longest_s, 2)
        yield DrawnFault(number, fault, next(targets[fault]), seconds)


def _in_turn(rng: random.Random, names: Sequence[str]) -> Iterator[str]:
    while True:
        yield from rng.sample(names, len(names))

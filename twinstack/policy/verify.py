"""Prove a policy: ask every question, compare every rule, find what is behind what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from twinstack.linux.iptables import Hook
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.policy import probe
from twinstack.policy.model import HOST, OUTSIDE, Cell, addresses, cells, gateway_in
from twinstack.policy.outside import Outside, outside
from twinstack.policy.table import Answer, Verdict, reason, rule_faults

#: How much longer what looks wrong is given when it is asked once more.
PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Enforcement:
    """Where a world is, and what enforces its policy there, as observed.

    `places` maps each replica and `HOST` to its network namespace, None for our own; `filter` are
    the filter table's lines; `wanted` the chains that the plan wants; `unfiltered` the bridges
    whose frames pass no iptables.
    """

    world: WorldName
    places: Mapping[str, Path | None]
    filter: tuple[str, ...]
    wanted: tuple[Hook, ...]
    unfiltered: tuple[str, ...] = ()


def _all(_: Cell) -> bool:
    return True


def verify(
    plan: Plan,
    enforcement: Enforcement,
    *,
    wait_s: float = probe.WAIT_S,
    patience: float = PATIENCE,
    asked: Callable[[Cell], bool] = _all,
) -> Verdict:
    """Ask the whole truth table of a world that is up.

    What is wrong is asked once more, with patience: a busy machine is no policy.
    `asked` leaves cells out that cannot be asked from here.
    Units: `wait_s` in seconds; `patience` is how many times as long, 0 for not at all.
    Raises: CannotTell, StepFailed, OSError.
    """
    started = time.monotonic()
    own = own_addresses(plan, enforcement.world)
    with outside(enforcement.places[HOST], plan.mark) as there:
        places = {**enforcement.places, OUTSIDE: there.namespace}
        chosen = (cell for cell in cells(plan, enforcement.world) if asked(cell))
        questions = tuple(_addressed(cell, there) for cell in chosen)
        said = probe.ask(questions, places, own, wait_s)
        doubtful = [cell for cell in questions if (said[cell] == probe.OPEN) != cell.open]
        if doubtful and patience:
            said |= probe.ask(doubtful, places, own, wait_s * patience)
    faults = tuple(rule_faults(enforcement.wanted, enforcement.filter))
    answers = tuple(_explained(cell, said[cell], plan, enforcement) for cell in questions)
    return Verdict(
        enforcement.world,
        plan.shape,
        answers,
        sum(len(hook.rules) for hook in enforcement.wanted),
        faults,
        enforcement.unfiltered,
        time.monotonic() - started,
    )


def own_addresses(plan: Plan, world: WorldName) -> dict[tuple[str, str], str]:
    """Map each endpoint on a segment to its own address there."""
    found = {
        (replica.name, segment): str(address)
        for replica in plan.replicas
        for segment, address in addresses(replica, world)
    }
    for segment in plan.segments:
        found[(HOST, segment.name)] = gateway_in(plan, segment.name, world)
    return found


def _addressed(cell: Cell, there: Outside) -> Cell:
    if cell.destination == OUTSIDE:
        return replace(cell, address=there.address)
    if cell.source == OUTSIDE and cell.destination == HOST:
        return replace(cell, address=there.host)
    return cell


def _explained(cell: Cell, said: str, plan: Plan, enforcement: Enforcement) -> Answer:
    answer = Answer(cell, said)
    if not answer.wrong:
        return answer
    why = reason(
        cell,
        said,
        plan,
        enforcement.world,
        enforcement.wanted,
        enforcement.filter,
        enforcement.unfiltered,
    )
    return replace(answer, behind=why)


def missing_places(plan: Plan, places: Mapping[str, object]) -> Sequence[str]:
    """List the replicas that nobody knows the place of."""
    return [replica.name for replica in plan.replicas if replica.name not in places]

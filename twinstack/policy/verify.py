"""Prove a policy: ask every cell of its truth table, compare every rule, explain what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from twinstack.model.plan import HOST, OUTSIDE, Plan
from twinstack.policy import probe
from twinstack.policy.outside import OutsideHost, outside
from twinstack.policy.permissions import addresses_by_endpoint
from twinstack.policy.truth_table import Cell, cells
from twinstack.policy.verdict import (
    OPEN,
    CellResult,
    Enforcement,
    PolicyVerdict,
    explain,
    rule_differences,
)

#: How many times as long a wrong cell is given when it is asked again.
PATIENCE = 3.0


def verify(
    plan: Plan,
    enforcement: Enforcement,
    *,
    wait_s: float = probe.WAIT_S,
    patience: float = PATIENCE,
    asked: Callable[[Cell], bool] = lambda cell: True,
    elsewhere: Mapping[str, Sequence[probe.ProbeLink]] | None = None,
) -> PolicyVerdict:
    """Ask the whole truth table of a running world.

    Wrong cells are asked again with more time, since a busy machine may be late. `asked` leaves
    out cells that cannot be asked from here; `elsewhere` is as in `probe.ask`.
    Units: `wait_s` in seconds; `patience` is how many times as long, 0 for no second try.
    Raises: CannotTell, StepFailed, OSError.
    """
    started = time.monotonic()
    own = addresses_by_endpoint(plan, enforcement.world)
    with outside(enforcement.namespaces[HOST], plan.mark) as internet:
        namespaces = {**enforcement.namespaces, OUTSIDE: internet.namespace}
        questions = tuple(
            _addressed(cell, internet) for cell in cells(plan, enforcement.world) if asked(cell)
        )
        outcomes = probe.ask(questions, namespaces, own, wait_s, elsewhere)
        doubtful = [cell for cell in questions if (outcomes[cell] == OPEN) != cell.open]
        if doubtful and patience:
            outcomes |= probe.ask(doubtful, namespaces, own, wait_s * patience, elsewhere)
    wrong = {cell for cell in doubtful if (outcomes[cell] == OPEN) != cell.open}
    causes = {cell: explain(cell, outcomes[cell], plan, enforcement) for cell in wrong}
    return PolicyVerdict(
        world=enforcement.world,
        shape=plan.shape,
        results=tuple(CellResult(c, outcomes[c], causes.get(c, "")) for c in questions),
        rule_count=sum(len(hook.rules) for hook in enforcement.expected_chains),
        differences=tuple(rule_differences(enforcement.expected_chains, enforcement.filter_rules)),
        unfiltered_bridges=enforcement.unfiltered_bridges,
        seconds=time.monotonic() - started,
    )


def _addressed(cell: Cell, internet: OutsideHost) -> Cell:
    if cell.destination == OUTSIDE:
        return replace(cell, address=internet.address)
    if cell.source == OUTSIDE and cell.destination == HOST:
        return replace(cell, address=internet.host_address)
    return cell

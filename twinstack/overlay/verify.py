"""Prove the policy across hosts: the same truth table as on one, asked from each host in turn.

The namespaces of a host's replicas are pinned where only that host sees them. A child that stays
on the host is the way there: /proc/PID/root leads into its mounts.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from twinstack.errors import Missing
from twinstack.linux import child as entering
from twinstack.model.plan import HOST, OUTSIDE, Plan
from twinstack.namespaces import policy
from twinstack.overlay import hosts
from twinstack.overlay.world import Overlay
from twinstack.policy import verify
from twinstack.policy.truth_table import Cell
from twinstack.policy.verdict import PolicyVerdict


@contextmanager
def places(overlay: Overlay) -> Iterator[dict[str, Path]]:
    """Give the network namespace of each replica and each host while the block lasts.

    Raises: Missing when one is not there.
    """
    instance = overlay.plan.instance
    found: dict[str, Path] = {}
    with ExitStack() as stack:
        for host in overlay.spread.alive:
            pins = hosts.pins_of(instance, host.name)
            child = entering.start(
                host.name, pins.network, _nothing, signal.pause, mounts=pins.mounts
            )
            stack.callback(child.end)
            child.answer()
            inside = Path(f"/proc/{child.pid}/root/run/netns")
            found[host.name] = pins.network
            for replica in overlay.on_host(host).plan.here:
                found[replica.name] = inside / replica.name
        absent = [name for name, path in found.items() if not path.exists()]
        if absent:
            raise Missing(
                absent[0], "cannot be asked", "it is not there", 'run "invoke overlay.up"'
            )
        yield found


def _nothing() -> None:
    pass


def _from_here(plan: Plan, cell: Cell) -> bool:
    """Leave out ways out by other hosts: the outside is joined to this one now."""
    here = {one.name for one in plan.here}
    return cell.destination != OUTSIDE or cell.source in here | {HOST}


def verdicts(overlay: Overlay) -> dict[str, PolicyVerdict]:
    """Ask the whole truth table, once with each host as the host; compare each one's rules.

    Raises: Missing; CannotTell, StepFailed, OSError.
    """
    found: dict[str, PolicyVerdict] = {}
    with places(overlay) as there:
        for host in overlay.spread.alive:
            plan = overlay.on_host(host).plan
            seen = hosts.on(overlay.plan.instance, host.name, partial(policy.enforcement, plan))
            at: dict[str, Path | None] = {one.name: there[one.name] for one in plan.replicas}
            enforcement = replace(seen, namespaces={**at, HOST: there[host.name]})
            found[host.name] = verify.verify(plan, enforcement, asked=partial(_from_here, plan))
    return found

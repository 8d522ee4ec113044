"""Prove the policy across hosts: the same truth table as on one host, from each host in turn.

The namespaces of a host's replicas are pinned in its own mounts. A child process that stays on the
host gives a path to them: /proc/PID/root. Real machines all listen, while each asks for its own
replicas, for itself and for an outside host.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from twinstack.errors import Missing
from twinstack.linux import child as children
from twinstack.model.plan import HOST, OUTSIDE, Plan
from twinstack.model.vxlan import mac_of
from twinstack.namespaces import policy
from twinstack.overlay import hosts
from twinstack.overlay.world import Overlay
from twinstack.policy import probe, verify
from twinstack.policy.truth_table import Cell, cells
from twinstack.policy.verdict import PolicyVerdict


@contextmanager
def network_namespaces(overlay: Overlay) -> Iterator[dict[str, Path]]:
    """Give the network namespace of each replica and each host while the block lasts.

    Raises: Missing when one is not there.
    """
    paths: dict[str, Path] = {}
    with ExitStack() as stack:
        for host in overlay.spread.alive:
            pins = hosts.pins_of(overlay.plan.instance, host.name)
            staying = children.staying(host.name, pins.network, lambda: None, mounts=pins.mounts)
            child, _ = stack.enter_context(staying)
            paths[host.name] = pins.network
            for replica in overlay.on_host(host).plan.here:
                paths[replica.name] = Path(f"/proc/{child.pid}/root/run/netns") / replica.name
        absent = [name for name, path in paths.items() if not path.exists()]
        if absent:
            remedy = 'run "invoke overlay.up"'
            raise Missing(absent[0], "cannot be asked", "it is not there", remedy)
        yield paths


def _is_asked(plan: Plan, cell: Cell) -> bool:
    """Leave out the ways to the outside from other hosts: it is joined to this host for now."""
    here = {replica.name for replica in plan.here}
    return cell.destination != OUTSIDE or cell.source in here | {HOST}


def verdicts(overlay: Overlay) -> dict[str, PolicyVerdict]:
    """Ask the whole truth table with each host as the host; compare each one's rules.

    Raises: Missing; CannotTell, StepFailed, OSError.
    """
    verdicts: dict[str, PolicyVerdict] = {}
    with network_namespaces(overlay) as paths:
        for host in overlay.spread.alive:
            plan = overlay.on_host(host).plan
            seen = hosts.on(overlay.plan.instance, host.name, partial(policy.enforcement, plan))
            namespaces: dict[str, Path | None] = {HOST: paths[host.name]}
            namespaces |= {replica.name: paths[replica.name] for replica in plan.replicas}
            enforcement = replace(seen, namespaces=namespaces)
            asked = partial(_is_asked, plan)
            verdicts[host.name] = verify.verify(plan, enforcement, asked=asked)
    return verdicts


@contextmanager
def listening(plan: Plan) -> Iterator[None]:
    """Listen at this machine's replicas, on the ports that no service has.

    Raises: Missing when the world is not up; StepFailed, OSError.
    """
    namespaces = policy.enforcement(plan).namespaces
    here = {replica.name: namespaces[replica.name] for replica in plan.here}
    with probe.listening(cells(plan, "net"), here):
        yield


def own_verdict(plan: Plan) -> PolicyVerdict:
    """Ask the cells of this machine's own sources, and compare its rules.

    Every other machine must be `listening`. Raises: as `verdicts`.
    """
    sources = {replica.name for replica in plan.here} | {HOST, OUTSIDE}
    return verify.verify(
        plan,
        policy.enforcement(plan),
        asked=lambda cell: cell.source in sources,
        elsewhere=links_elsewhere(plan),
    )


def links_elsewhere(plan: Plan) -> dict[str, tuple[probe.ProbeLink, ...]]:
    """Give the interfaces of replicas on other machines: their MACs follow from their addresses."""
    here = {replica.name for replica in plan.here}
    return {
        replica.name: (probe.ProbeLink(0, str(replica.address), mac_of(replica.address), None),)
        for replica in plan.replicas
        if replica.name not in here
    }

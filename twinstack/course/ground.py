"""Take a lesson's parts away, and remove what was made by hand under the plan's names.

What is under these names while a lesson runs is the lesson's: they were free, or ours, when it was
started. Everything else is a stranger's and stays.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from twinstack.course.check import dependents
from twinstack.course.lesson import Assignment
from twinstack.linux import iptables, netns, process, procfs, rtnetlink
from twinstack.linux.netlink import Netlink
from twinstack.model import names
from twinstack.model.names import link_group
from twinstack.namespaces import marks, observe, rules, teardown
from twinstack.namespaces.removals import removals
from twinstack.namespaces.steps import NetStep, Rules, Sysctl, VethPair, created
from twinstack.namespaces.world import NamespaceWorld
from twinstack.state import host_sysctls


@dataclass(frozen=True, slots=True)
class PlanNames:
    """What a plan makes on the host by name, with the sysctls as they were before it."""

    objects: tuple[tuple[str, str], ...] = ()  # kind and name
    sysctls: tuple[tuple[str, str], ...] = ()  # key and former value


def names_of(steps: Sequence[NetStep], facts_sysctls: Mapping[str, str]) -> PlanNames:
    """List the names of a plan; `facts_sysctls` are the host's own values."""
    held = (step.key for step in steps if isinstance(step, Sysctl) and step.held)
    former = tuple((key, facts_sysctls[key]) for key in held if key in facts_sysctls)
    return PlanNames(tuple(created(steps)), former)


def take_away(world: NamespaceWorld, assignments: Sequence[Assignment]) -> None:
    """Remove a lesson's parts from a world that is up. Raises: StepFailed, SeveralFailed."""
    plan, steps = world.plan, world.planned()
    for process_step in dependents(assignments, steps):
        world.stop(process_step.replica)
    gone = {step for each in assignments if each.whole for step in each.steps}
    facts = observe.observe(plan, steps)
    todo = removals(
        facts.owned,
        [step for step in steps if step not in gone],
        group=link_group(plan.instance),
    )
    teardown.remove_undeclared(plan.instance, todo, facts.owned.rules)
    partly = [step for each in assignments if not each.whole for step in each.steps]
    _empty([step for step in partly if isinstance(step, Rules)])
    _detach(step.host_end for step in partly if isinstance(step, VethPair))


def _empty(steps: Sequence[Rules]) -> None:
    """Empty chains that stay. Same as: iptables -F CHAIN."""
    for table in dict.fromkeys(step.hook.table for step in steps):
        chains = [f":{step.hook.chain} - [0:0]" for step in steps if step.hook.table == table]
        process.run(iptables.RESTORE, stdin="\n".join([f"*{table}", *chains, "COMMIT", ""]))


def _detach(ports: Iterable[str]) -> None:
    """Take ports off their bridge, where it is still there. Same as: ip link set nomaster."""
    for port in ports:
        process.run(["ip", "link", "set", "dev", port, "nomaster"])


def reclaim(instance: str, noted: PlanNames) -> None:
    """Remove what was made by hand under the noted names, and our chains with what is in them.

    What carries our mark stays: the world's own `up` and `down` know it. Raises: OSError,
    StepFailed.
    """
    _remove_chains(instance)
    mark = names.mark(instance)
    namespaces = [name for kind, name in noted.objects if kind == "namespace"]
    for name, carried in marks.of_namespaces(namespaces).items():
        if carried != mark:
            netns.unpin(name)
    for kind, name in noted.objects:
        link = marks.read_identities().get(name) if kind != "namespace" else None
        if link is not None and (link.alias != mark or link.kind != kind):
            with Netlink() as netlink:
                netlink.send([rtnetlink.delete_link(link.index)])
    held = host_sysctls.held_by(host_sysctls.holder(instance))
    for key, former in noted.sysctls:
        if key not in held and not _is_dockers(key):
            with suppress(FileNotFoundError):
                (Path("/proc") / procfs.sysctl_path(key)).write_text(former)


def _is_dockers(key: str) -> bool:
    """Tell whether an engine that has come meanwhile needs a sysctl as it is."""
    return key == "net.ipv4.ip_forward" and "docker0" in dict(socket.if_nameindex()).values()


def _remove_chains(instance: str) -> None:
    """Remove every chain of the instance's, whoever wrote what is in it, and every jump to it."""
    ours = rules.ownership(instance)
    present = {}
    for table, lines in observe.begin_rules()().items():
        chains = set(ours.chains(lines))
        present[table] = tuple(
            line for line in lines if not (line[:3] == "-A " and line.split()[1] in chains)
        )
    if text := iptables.removal_text(ours, present):
        process.run(iptables.RESTORE, stdin=text)

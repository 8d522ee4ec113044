"""The namespace world's part of a lesson: look at it, take it away, remove what was made by hand.

What is under these names while a lesson runs is the lesson's: they were free, or ours, when it was
started. Everything else is a stranger's and stays.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from twinstack.course import by_hand
from twinstack.course.check import dependents
from twinstack.course.lesson import Assignment
from twinstack.linux import iptables, netns, process, procfs, rtnetlink
from twinstack.linux.netlink import Netlink
from twinstack.model import names
from twinstack.model.names import link_group
from twinstack.model.plan import Plan
from twinstack.namespaces import (
    apply_links,
    cgroups,
    marks,
    observe,
    preflight,
    rules,
    supervisor,
    teardown,
)
from twinstack.namespaces.facts import NetFacts, ProgramFacts
from twinstack.namespaces.process_steps import ReplicaProcess
from twinstack.namespaces.removals import removals
from twinstack.namespaces.steps import NetStep, Rules, Sysctl, VethPair, created, network_steps
from twinstack.namespaces.vxlan_steps import SourceRoute, VxlanEntries
from twinstack.namespaces.world import NamespaceWorld
from twinstack.state import host_sysctls
from twinstack.state.paths import InstancePaths


@dataclass(frozen=True, slots=True)
class PlanNames:
    """What plans make on the host by name, with the sysctls as they were before it."""

    objects: tuple[tuple[str, str], ...] = ()  # kind and name
    sysctls: tuple[tuple[str, str], ...] = ()  # key and former value

    def with_those(self, later: PlanNames) -> PlanNames:
        """Add another plan's; the value of a sysctl is that which was noted first."""
        objects = dict.fromkeys((*self.objects, *later.objects))
        return PlanNames(
            tuple(objects), tuple({**dict(later.sysctls), **dict(self.sysctls)}.items())
        )


def all_names(world: NamespaceWorld) -> PlanNames:
    """Give a plan's names, for a host on which nothing is yet; its sysctls go with it."""
    return PlanNames(tuple(created(network_steps(world.plan))))


def free_names(world: NamespaceWorld) -> PlanNames:
    """Give a plan's names, all of them free or ours.

    Raises: NotOurs for one that a stranger has; SeveralFailed for more.
    """
    steps = network_steps(world.plan)
    facts = observe.observe(world.plan, steps)
    preflight.check(world.plan, steps, facts)
    held = [step.key for step in steps if isinstance(step, Sysctl) and step.held]
    former = tuple(
        (key, host_sysctls.former(key) or facts.sysctls[key])
        for key in held
        if key in facts.sysctls
    )
    return PlanNames(tuple(created(steps)), former)


def look(world: NamespaceWorld) -> tuple[tuple[NetStep, ...], NetFacts]:
    """Give a world's steps, and the facts as if all that has the plan's names carried our mark.

    A process that was started by hand counts as the supervisor's. Raises: StepFailed.
    """
    steps = world.planned()
    facts = observe.observe(world.plan, steps)
    processes = dict(facts.processes)
    paths = InstancePaths(world.plan.instance)
    for step in steps:
        if isinstance(step, ReplicaProcess):
            known = processes.get(step.replica)
            if (known is None or known.pid is None) and (pids := _by_hand(step.replica, paths)):
                found = ProgramFacts(step.replica, pids[0], "RUNNING")
                processes[step.replica] = observe.located(found, paths)
    facts = replace(facts, processes=processes)
    return steps, by_hand.seen(facts, world.plan, steps)


def _by_hand(replica: str, paths: InstancePaths) -> tuple[int, ...]:
    """List the processes in a replica's cgroup, the oldest first: it started the others."""
    pids = cgroups.processes(paths.instance, replica, cgroups.read_layout())
    return tuple(sorted(pids, key=procfs.start_ticks))


def take_away(world: NamespaceWorld, assignments: Sequence[Assignment]) -> None:
    """Remove a lesson's parts from a world that is up. Raises: StepFailed, SeveralFailed."""
    plan, steps = world.plan, world.planned()
    chosen = [step for each in assignments for step in each.steps]
    stopped = [step for step in chosen if isinstance(step, ReplicaProcess)]
    for process_step in (*stopped, *dependents(assignments, steps)):
        world.stop(process_step.replica)
    for entries in (step for step in chosen if isinstance(step, VxlanEntries)):
        apply_links.set_entries(replace(entries, remote=frozenset(), neighbours=frozenset()))
    for route in (step for step in chosen if isinstance(step, SourceRoute)):
        _restore_route(route, plan)
    gone = {step for each in assignments if each.whole for step in each.steps} - {*stopped}
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


def _restore_route(step: SourceRoute, plan: Plan) -> None:
    """Let a segment be reached from the bridge's address, as the kernel has it by itself."""
    (gateway,) = (each.gateway for each in plan.segments if each.bridge == step.bridge)
    words = (
        f"ip route replace {step.subnet} dev {step.bridge} proto kernel scope link src {gateway}"
    )
    process.run(words.split())


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

    What carries our mark stays: the world's own `up` and `down` know it. So does what carries
    another instance's: it has come since. Raises: OSError, StepFailed.
    """
    _end_processes(instance)
    _remove_chains(instance)
    mark = names.mark(instance)
    # Links first: a namespace that is unpinned takes them along some time later.
    for kind, name in noted.objects:
        link = marks.read_identities().get(name) if kind != "namespace" else None
        if link is None or _is_anothers(link.alias, instance):
            continue
        if link.alias != mark or link.kind != kind:
            _delete(link.index)
    namespaces = [name for kind, name in noted.objects if kind == "namespace"]
    for name, carried in marks.of_namespaces(namespaces).items():
        if carried != mark and not _is_anothers(carried, instance):
            netns.unpin(name)
    for key, former in noted.sysctls:
        if host_sysctls.former(key) is None and not _is_dockers(key):
            with suppress(FileNotFoundError):
                (Path("/proc") / procfs.sysctl_path(key)).write_text(former)


def _delete(link: int) -> None:
    """Delete a link; one that is gone already is no failure."""
    try:
        with Netlink() as netlink:
            netlink.send([rtnetlink.delete_link(link)])
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def _is_anothers(mark: str | None, instance: str) -> bool:
    return names.instance_of(mark) not in {None, instance}


def _end_processes(instance: str) -> None:
    """End the processes of replicas that the supervisor does not run. Raises: StepFailed."""
    layout, supervised = cgroups.read_layout(), supervisor.observe(InstancePaths(instance))
    if supervised.pid is not None and not supervised.programs:
        return  # it does not answer: what it runs is not known
    kept = {each.replica for each in supervised.processes if each.pid}
    for replica in cgroups.existing(instance, layout):
        if replica not in kept:
            cgroups.end_processes(instance, replica, layout)


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

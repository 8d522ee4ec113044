"""Carry the steps out, in the order of the list.

What is about to be created is journalled before the first call. `EFFECTS` maps each kind of step
to what does one of them, `BATCHES` those of which a run is done at once: all rules in one
iptables-restore, and everything inside namespaces in one child, since entering one is for good.
`apply_links` has what creates links.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from twinstack.linux import (
    br_netfilter,
    child,
    conntrack,
    files,
    iptables,
    mounts,
    netns,
    nft_tables,
    process,
    procfs,
    rtnetlink,
)
from twinstack.linux.cgroup import Layout
from twinstack.linux.links import index_of
from twinstack.linux.netlink import Netlink
from twinstack.linux.sysctl import Sysctls
from twinstack.model.plan import Plan
from twinstack.namespaces import apply_links, cgroups, supervisor
from twinstack.namespaces.facts import NetFacts
from twinstack.namespaces.process_steps import (
    Cgroup,
    InstanceDirectory,
    InstanceFile,
    ReplicaProcess,
    Supervisor,
)
from twinstack.namespaces.steps import (
    Bridge,
    BridgeFilter,
    Namespace,
    NetStep,
    Rules,
    Sysctl,
    VethPair,
    created,
)
from twinstack.namespaces.vxlan_steps import HostMounts, SourceRoute, VxlanEntries, VxlanPort
from twinstack.reconcile import UNWATCHED, Progress, Watch, run_step
from twinstack.state import host_sysctls
from twinstack.state.journal import read_journal, write_journal
from twinstack.state.paths import InstancePaths

_PROGRESS_EVERY = 100
_PROC = Path("/proc")


@dataclass
class ApplyContext:
    """What the effects share while a list of steps is applied."""

    paths: InstancePaths
    facts: NetFacts
    progress: Progress
    watch: Watch
    stale: frozenset[str]  # replicas that need a new process
    reload: bool  # the supervisor must read its file before any process is started

    @cached_property
    def layout(self) -> Layout:
        return cgroups.read_layout()

    def taking(self, step: NetStep) -> AbstractContextManager[None]:
        remedy = 'run "invoke clean", then up'
        return run_step(self.watch, step.name, "cannot be created", remedy=remedy)


def apply(
    plan: Plan,
    steps: Sequence[NetStep],
    facts: NetFacts,
    progress: Progress,
    *,
    bare: bool = False,
    watch: Watch = UNWATCHED,
) -> None:
    """Take every step. `bare`: without the plan's processes.

    Raises: StepFailed, and what was done so far stays.
    """
    paths = InstancePaths(plan.instance)
    stale = frozenset(step.replica for step in steps if isinstance(step, ReplicaProcess))
    reload = bool(stale) or any(_concerns_supervisor(step, paths) for step in steps)
    context = ApplyContext(paths, facts, progress, watch, stale, reload)
    _journal_intent(paths, plan, steps, bare)
    policing = [step for step in steps if _affects_policy(step)]
    for batch, run in groupby(steps, key=lambda step: BATCHES.get(type(step))):
        group = tuple(run)
        if batch is not None:
            batch(group, context)
        else:
            for step in group:
                with context.taking(step):
                    EFFECTS[type(step)](step, context)
        if facts.namespaces and policing and policing[-1] in group:
            subnets = [segment.subnet for segment in plan.segments]
            conntrack.flush(subnets, only=_judged_again(policing, facts))
    with run_step(UNWATCHED, "supervisor", "cannot reload"):
        _reload(context)


def _affects_policy(step: NetStep) -> bool:
    """Tell whether a step changes how a connection between services is judged."""
    return isinstance(step, Bridge) or (isinstance(step, Rules) and step.hook.table == "filter")


def _judged_again(policing: Sequence[NetStep], facts: NetFacts) -> frozenset[str] | None:
    """Give the addresses of which steps of the policy may deny an open connection; None: any."""
    hooks = [step.hook for step in policing if isinstance(step, Rules)]
    if len(hooks) < len(policing):
        return None
    return iptables.withdrawn(hooks, facts.owned.rules.get("filter", ()))


def _concerns_supervisor(step: NetStep, paths: InstancePaths) -> bool:
    conf = str(supervisor.conf_path(paths))
    return isinstance(step, Supervisor) or (isinstance(step, InstanceFile) and step.path == conf)


def _journal_intent(paths: InstancePaths, plan: Plan, steps: Sequence[NetStep], bare: bool) -> None:
    """Record what is about to be created and cannot carry our mark from its first moment."""
    journal = read_journal(paths)
    names = {name for _, name in created(steps)}
    tables = {step.hook.table for step in steps if isinstance(step, Rules)}
    if tables:
        tables -= nft_tables.present()
    intent = replace(
        journal,
        intended=tuple(sorted(names | set(journal.intended))),
        tables=tuple(sorted(tables | set(journal.tables))),
        shape=plan.shape,
        limited=plan.limited,
        bare=bare,
        policy=plan.policy,
        scale=plan.scale,
        releases=plan.releases,
    )
    if intent != journal:
        write_journal(paths, intent)


def _set_sysctl(step: Sysctl, context: ApplyContext) -> None:
    if step.held:
        host_sysctls.hold(step.key, step.value, host_sysctls.holder(context.paths.instance))
    else:
        (_PROC / procfs.sysctl_path(step.key)).write_text(step.value)


def _write_rules(steps: Sequence[Rules], context: ApplyContext) -> None:
    """Write every chain in one iptables-restore: each table is committed as a whole."""
    text = iptables.restore_text(tuple(step.hook for step in steps), context.facts.owned.rules)
    with ExitStack() as taking:
        for step in steps:
            taking.enter_context(context.taking(step))
        process.run(iptables.RESTORE, stdin=text)


def _enter_namespaces(steps: Sequence[Namespace | VethPair], context: ApplyContext) -> None:
    """Create namespaces and what is in them, in a child that never returns to the host's own."""
    if not netns.pins_are_mounted():  # as `ip netns` expects it
        journal = read_journal(context.paths)
        write_journal(context.paths, replace(journal, mounted_pins=True))
        with run_step(UNWATCHED, str(netns.PINS), "cannot be mounted"):
            netns.mount_pins()
    child.inside("namespaces", None, lambda: _tour(steps, context))


def _tour(steps: Sequence[Namespace | VethPair], context: ApplyContext) -> None:
    entered = ""
    inside = Netlink()
    sysctls = Sysctls()
    bridges: dict[str, int] = {}
    with Netlink() as outside:
        for number, step in enumerate(steps, 1):
            if number % _PROGRESS_EVERY == 0 and len(steps) > _PROGRESS_EVERY:
                context.progress(f"{number} of {len(steps)} namespaces and links created")
            with context.taking(step):
                new = isinstance(step, Namespace) and step.namespace not in context.facts.namespaces
                if step.namespace != entered:
                    if new:
                        child.unshare_netns()
                    else:
                        child.enter(netns.PINS / step.namespace)
                    entered = step.namespace
                    with inside:
                        inside = Netlink()
                if isinstance(step, Namespace):
                    sysctls.enter()
                    _set_up_namespace(step, inside, sysctls, new)
                else:
                    if step.bridge not in bridges:  # of the host: this thread is in a namespace
                        bridges[step.bridge] = index_of(outside, step.bridge)
                    apply_links.create_pair(
                        step, bridges[step.bridge], outside, inside, context.facts
                    )


def _set_up_namespace(step: Namespace, inside: Netlink, sysctls: Sysctls, new: bool) -> None:
    """Set up the namespace we are in. It carries our mark before it can be seen."""
    inside.send([rtnetlink.mark_loopback(step.mark)])
    # A kernel without IPv6 has none of its sysctls.
    sysctls.write(step.sysctls, optional="net.ipv6.")
    if new:
        netns.pin(step.namespace)


def _create_directory(step: InstanceDirectory, _: ApplyContext) -> None:
    path = Path(step.path)
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, step.user, step.user)
    path.chmod(step.mode)


def _write_file(step: InstanceFile, _: ApplyContext) -> None:
    """Write whole or not at all: a launch script may be read at any moment."""
    path = Path(step.path)
    if step.in_place and path.is_file():
        files.overwrite(path, step.content)
        path.chmod(step.mode)
        return
    files.write(path, step.content, mode=step.mode)


def _start_supervisor(step: Supervisor, context: ApplyContext) -> None:
    _reload(context)
    if supervisor.pid(context.paths) is not None:
        return
    instance = context.paths.instance
    for group in cgroups.existing(instance, context.layout):
        # Nothing watches the processes that an earlier supervisor left behind.
        cgroups.end_processes(instance, group, context.layout)
    context.progress("starting the supervisor")
    supervisor.start(context.paths, step.command)


def _start_process(step: ReplicaProcess, context: ApplyContext) -> None:
    _reload(context)
    supervisor.start_program(context.paths, step.replica)


def _reload(context: ApplyContext) -> None:
    """Once: let a running supervisor read its file, and end the processes to be started again."""
    due, context.reload = context.reload, False
    if not due or supervisor.pid(context.paths) is None:
        return
    if supervisor.answers(context.paths):
        supervisor.reload(context.paths, context.stale)
    else:
        context.progress("ending the supervisor, which does not respond")
        supervisor.stop(context.paths)


#: What takes one step of a kind. Raises: OSError, TwinstackError.
EFFECTS: Mapping[type[Any], Callable[[Any, ApplyContext], None]] = {
    Sysctl: _set_sysctl,
    BridgeFilter: lambda step, context: br_netfilter.load(),
    Bridge: lambda step, context: apply_links.create_bridge(step, context.facts),
    VxlanPort: lambda step, context: apply_links.create_vxlan(step, context.facts),
    VxlanEntries: lambda step, context: apply_links.set_entries(step),
    SourceRoute: lambda step, context: apply_links.set_route(step),
    HostMounts: lambda step, context: mounts.make(step.namespace, Path(step.pin)),
    InstanceDirectory: _create_directory,
    InstanceFile: _write_file,
    Cgroup: lambda step, context: cgroups.apply(step, context.layout),
    Supervisor: _start_supervisor,
    ReplicaProcess: _start_process,
}
#: What takes a run of steps of these kinds at once.
BATCHES: Mapping[type[Any], Callable[[Any, ApplyContext], None]] = {
    Rules: _write_rules,
    Namespace: _enter_namespaces,
    VethPair: _enter_namespaces,
}

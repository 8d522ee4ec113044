"""Carry steps out in the kernel: links by netlink, namespaces in one child, rules at once.

`apply` does the changes of one kind together, in an order in which each finds what it rests
on. What is about to be made is in the journal before the first call.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from twinstack import shell, switches
from twinstack.errors import StepFailed
from twinstack.names import mark
from twinstack.namespaces import cgroups, kernel, rules, supervisor
from twinstack.namespaces.facts import Facts
from twinstack.namespaces.network import NAMESPACE_SYSCTLS
from twinstack.namespaces.steps import (
    Bridge,
    Cgroup,
    Change,
    Directory,
    File,
    Namespace,
    Process,
    Rules,
    Supervisor,
    Sysctl,
    VethPair,
)
from twinstack.plan import Plan
from twinstack.state import Places, read_journal, write_journal
from twinstack.world import Progress

_ADDRGEN_NONE = 1


def apply(plan: Plan, changes: Sequence[Change], facts: Facts, progress: Progress) -> None:
    """Do every change. Raises: StepFailed, and what was done so far stays."""
    places = Places(plan.instance)
    todo = [change.step for change in changes]
    _intend(places, plan, todo)
    _network(plan, changes, facts, places)
    for step in todo:
        if isinstance(step, Directory):
            _directory(step)
        elif isinstance(step, File):
            _write(step)
    groups = [step for step in todo if isinstance(step, Cgroup)]
    if groups:
        layout = cgroups.read_layout()
        for group in groups:
            cgroups.apply(group, layout)
    _processes(places, changes, progress)


def _intend(places: Places, plan: Plan, todo: Sequence[object]) -> None:
    names = {step.namespace for step in todo if isinstance(step, Namespace)}
    names |= {step.host_end for step in todo if isinstance(step, VethPair)}
    names |= {step.link for step in todo if isinstance(step, Bridge)}
    journal = read_journal(places)
    wanted = replace(
        journal,
        intended=tuple(sorted(names | set(journal.intended))),
        shape=plan.shape,
        limited=plan.limited,
    )
    if wanted != journal:
        write_journal(places, wanted)


def _network(plan: Plan, changes: Sequence[Change], facts: Facts, places: Places) -> None:
    steps = [change.step for change in changes]
    bridges = [step for step in steps if isinstance(step, Bridge)]
    namespaces = [step for step in steps if isinstance(step, Namespace)]
    pairs = [step for step in steps if isinstance(step, VethPair)]
    with IPRoute() as netlink:
        for bridge in bridges:
            with _saying(bridge.name):
                _bridge(netlink, bridge, facts)
        for step in steps:
            if isinstance(step, Sysctl):
                _sysctl(places, step)
        hooks = tuple(step.hook for step in steps if isinstance(step, Rules))
        if hooks:
            text = rules.restore_text(hooks, facts.rules)
            shell.run(["iptables-restore", "--noflush", "--wait", "5"], stdin=text)
        _namespaces(places, namespaces, facts)
        for pair in pairs:
            with _saying(pair.name):
                _veth(netlink, pair, facts)


@contextmanager
def _saying(what: str) -> Iterator[None]:
    """Turn the kernel's refusal into an error that names the object."""
    try:
        yield
    except (NetlinkError, OSError) as error:
        cause = os.strerror(error.code) if isinstance(error, NetlinkError) else str(error)
        raise StepFailed(what, "cannot be made", cause, 'run "invoke clean", then up') from error


def _bridge(netlink: IPRoute, step: Bridge, facts: Facts) -> None:
    there = facts.links.get(step.link)
    if there is None:
        netlink.link("add", ifname=step.link, kind="bridge", mtu=step.mtu, br_stp_state=0,
                     br_mcast_snooping=0)  # fmt: skip
    index = there.index if there else netlink.link_lookup(ifname=step.link)[0]
    _set_up(netlink, index, step.mtu, step.mark)
    _only_address(netlink, index, step.address, there.addresses if there else frozenset())


def _set_up(netlink: IPRoute, index: int, mtu: int, mark: str | None, master: int = 0) -> None:
    # Set by the address family, not by writing a sysctl for each link: that is O(N^2) for N.
    spec = {"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _ADDRGEN_NONE)]})]}
    netlink.link("set", index=index, IFLA_AF_SPEC=spec)
    words: dict[str, object] = {"index": index, "mtu": mtu, "state": "up"}
    if mark:
        words["ifalias"] = mark
    if master:
        words["master"] = master
    netlink.link("set", **words)


def _only_address(netlink: IPRoute, index: int, wanted: str, there: frozenset[str]) -> None:
    for strange in there - {wanted}:
        address, length = strange.split("/")
        netlink.addr("del", index=index, address=address, prefixlen=int(length))
    if wanted not in there:
        address, length = wanted.split("/")
        netlink.addr("add", index=index, address=address, prefixlen=int(length))


def _sysctl(places: Places, step: Sysctl) -> None:
    with _saying(step.name):
        if step.held:
            switches.hold(step.key, step.value, switches.holder(places.instance))
        else:
            kernel.sysctl_path(step.key).write_text(step.value)


def _namespaces(places: Places, todo: Sequence[Namespace], facts: Facts) -> None:
    fresh = [step.namespace for step in todo if step.namespace not in facts.namespaces]
    if fresh:
        if not kernel.pins_are_mounted():
            write_journal(places, replace(read_journal(places), mounted_pins=True))
            with _saying("/run/netns"):
                kernel.mount_pins()
        for name in fresh:
            if (kernel.PINS / name).exists() and not kernel.is_pinned(name):
                (kernel.PINS / name).unlink()  # an interrupted add of ours: an empty file
        kernel.create(fresh, lambda: _prepare(mark(places.instance)))
    changed = [step.namespace for step in todo if step.namespace not in fresh]
    if changed:
        kernel.visit(changed, lambda name: _prepare(mark(places.instance)))


def _prepare(alias: str) -> None:
    """Mark the namespace that this process is in, and set it up. Raises: StepFailed."""
    with IPRoute() as netlink, _saying("loopback"):
        netlink.link("set", index=1, ifalias=alias, state="up")
        kernel.set_sysctls(NAMESPACE_SYSCTLS)


def _veth(netlink: IPRoute, step: VethPair, facts: Facts) -> None:
    outside = facts.links.get(step.host_end)
    namespace = facts.namespaces.get(step.namespace)
    inside = namespace.links.get(step.link) if namespace else None
    if outside is not None and inside is None:  # its other end went with an older namespace
        netlink.link("delete", index=outside.index)
        outside = None
    pin = str(kernel.PINS / step.namespace)
    if outside is None:
        netlink.link(
            "add", ifname=step.host_end, kind="veth", mtu=step.mtu,
            num_tx_queues=1, num_rx_queues=1,
            peer={"ifname": step.link, "mtu": step.mtu, "net_ns_fd": pin},
        )  # fmt: skip
    index = outside.index if outside else netlink.link_lookup(ifname=step.host_end)[0]
    bridge = netlink.link_lookup(ifname=step.bridge)[0]
    _set_up(netlink, index, step.mtu, step.mark, bridge)
    if step.hairpin or (outside and outside.hairpin):
        netlink.brport("set", index=index, mode=int(step.hairpin))
    with IPRoute(netns=pin) as within:
        link = within.link_lookup(ifname=step.link)[0]
        _set_up(within, link, step.mtu, None)
        _only_address(within, link, step.address, inside.addresses if inside else frozenset())
        # An address removed or a link set down takes the routes along: always set anew.
        within.route("replace", dst="0.0.0.0/0", gateway=str(step.gateway), oif=link)


def _directory(step: Directory) -> None:
    path = Path(step.path)
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, step.user, step.user)
    path.chmod(step.mode)


def _write(step: File) -> None:
    """Write whole or not at all: a launch script may be read at any moment."""
    path = Path(step.path)
    if step.in_place and path.is_file():
        path.write_text(step.content)
        return
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(step.content)
    fresh.chmod(step.mode)
    fresh.replace(path)


def _processes(places: Places, changes: Sequence[Change], progress: Progress) -> None:
    steps = [change.step for change in changes]
    todo = {step.replica for step in steps if isinstance(step, Process)}
    fresh = next((step for step in steps if isinstance(step, Supervisor)), None)
    configured = any(
        isinstance(step, File) and step.path == str(supervisor.conf_path(places)) for step in steps
    )
    if fresh is not None:
        layout = cgroups.read_layout()
        for name in cgroups.existing(places.instance, layout):
            # What an earlier supervisor left behind is watched by nobody.
            cgroups.end_processes(places.instance, name, layout)
        progress("starting the supervisor")
        supervisor.start(places, fresh.command)
    elif configured or todo:
        supervisor.reload(places, frozenset(todo))

"""Carry steps out in the kernel, each told to the watch; what runs in the network is `start`'s.

The changes of one kind are done together, in an order in which each finds what it rests on.
What is about to be made is in the journal before the first call. Links go over `netlink`, a
step's requests in one message; all rules in one iptables-restore; everything inside
namespaces in one child, since entering one is for good.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from twinstack.errors import StepFailed
from twinstack.linux import (
    br_netfilter,
    child,
    conntrack,
    mounts,
    netns,
    nft_tables,
    process,
    procfs,
    rtnetlink,
)
from twinstack.linux.links import LinkFacts
from twinstack.linux.netlink import Netlink, Request
from twinstack.linux.sysctl import Sysctls
from twinstack.model.plan import Plan
from twinstack.namespaces import processes, rules, vxlan
from twinstack.namespaces.facts import Facts
from twinstack.namespaces.steps import (
    Bridge,
    BridgeFilter,
    Change,
    Namespace,
    Rules,
    Step,
    Sysctl,
    VethPair,
)
from twinstack.namespaces.vxlan_steps import Forwarding, Mounts, SourceRoute, Tunnel
from twinstack.reconcile import UNWATCHED, Progress, Watch, watched
from twinstack.state import host_sysctls
from twinstack.state.journal import read_journal, write_journal
from twinstack.state.paths import InstancePaths

_TELL_EVERY = 100
_ON_THE_HOST = (Bridge, BridgeFilter, Sysctl, Tunnel, Forwarding, SourceRoute)
_PROC = Path("/proc")


def apply(
    plan: Plan,
    changes: Sequence[Change],
    facts: Facts,
    progress: Progress,
    *,
    bare: bool = False,
    watch: Watch = UNWATCHED,
) -> None:
    """Do every change. `bare`: the plan is wanted without its processes.

    Raises: StepFailed, and what was done so far stays.
    """
    places = InstancePaths(plan.instance)
    todo = [change.step for change in changes]
    _intend(places, plan, todo, bare)
    for step in todo:
        if isinstance(step, _ON_THE_HOST):
            with _done(step, watch):
                _on_the_host(step, places, facts)
    _rules([step for step in todo if isinstance(step, Rules)], facts, watch)
    if facts.namespaces and any(_judges(step) for step in todo):
        conntrack.flush(segment.subnet for segment in plan.segments)
    inside = [step for step in todo if isinstance(step, Namespace | VethPair)]
    if inside:
        _pins(places)
        child.inside("namespaces", None, lambda: _tour(inside, facts, progress, watch))
    for step in todo:
        if isinstance(step, Mounts):
            with _done(step, watch):
                mounts.make(step.namespace, Path(step.pin))
    processes.apply(places, changes, progress, watch)


def _on_the_host(step: Step, places: InstancePaths, facts: Facts) -> None:
    match step:
        case Bridge():
            _bridge(step, facts)
        case BridgeFilter():
            br_netfilter.load()
        case Sysctl():
            _sysctl(places, step)
        case Tunnel():
            vxlan.make(step, facts)
        case Forwarding():
            vxlan.forward(step)
        case SourceRoute():
            vxlan.route(step)


def _judges(step: Step) -> bool:
    """Tell whether a step changes how a connection between services is judged."""
    return isinstance(step, Bridge) or (isinstance(step, Rules) and step.hook.table == "filter")


@contextmanager
def _done(step: Step, watch: Watch) -> Iterator[None]:
    """Tell the watch, and turn the kernel's refusal into an error that names the object."""
    try:
        with watched(watch, step.name):
            yield
    except OSError as error:
        cause = error.strerror or str(error)
        raise StepFailed(step.name, "cannot be made", cause, 'run "invoke clean", then up') from (
            error
        )


def _intend(places: InstancePaths, plan: Plan, todo: Sequence[Step], bare: bool) -> None:
    """Write down what is about to be made and cannot bear our mark from its first moment."""
    journal = read_journal(places)
    names = {step.namespace for step in todo if isinstance(step, Namespace)}
    names |= {step.host_end for step in todo if isinstance(step, VethPair)}
    names |= {step.link for step in todo if isinstance(step, Bridge | Tunnel)}
    tables = {step.hook.table for step in todo if isinstance(step, Rules)}
    if tables:
        tables -= nft_tables.present()
    wanted = replace(
        journal,
        intended=tuple(sorted(names | set(journal.intended))),
        tables=tuple(sorted(tables | set(journal.tables))),
        shape=plan.shape,
        limited=plan.limited,
        bare=bare,
        policy=plan.policy,
    )
    if wanted != journal:
        write_journal(places, wanted)


def _bridge(step: Bridge, facts: Facts) -> None:
    there = facts.links.get(step.link)
    with Netlink() as netlink:
        if there is None:
            # Alone: the kernel goes on past a refusal, and what follows would be done by name
            # to whoever has it.
            netlink.send([rtnetlink.new_bridge(step.link, step.mtu, step.group, step.mac)])
        setting = rtnetlink.set_up(
            step.link,
            mtu=step.mtu,
            now=there.mtu if there else step.mtu,
            alias=step.mark,
            group=step.group,
            # Set anew, even to the same, it would cost the neighbours that are fixed on it.
            mac=step.mac if there and there.mac != step.mac else "",
        )
        filtering = [rtnetlink.filter_bridge(step.link, step.filtered)]
        netlink.send([*filtering, *setting])
        index = socket.if_nametoindex(step.link)
        netlink.send(_only_address(index, step.address, there))


def _only_address(index: int, wanted: str, there: LinkFacts | None) -> list[Request]:
    """Leave a link with one address."""
    present = there.addresses if there else frozenset()
    if present == {wanted}:
        return []
    # With a primary address the kernel removes those beside it: ours is always put anew.
    strange = [rtnetlink.delete_address(index, one) for one in sorted(present - {wanted})]
    return [*strange, rtnetlink.put_address(index, wanted)]


def _sysctl(places: InstancePaths, step: Sysctl) -> None:
    if step.held:
        host_sysctls.hold(step.key, step.value, host_sysctls.holder(places.instance))
    else:
        (_PROC / procfs.sysctl_place(step.key)).write_text(step.value)


def _rules(steps: Sequence[Rules], facts: Facts, watch: Watch) -> None:
    """Write every chain in one iptables-restore: each table is committed as a whole."""
    if not steps:
        return
    for step in steps:
        watch.before(step.name)
    text = rules.restore_text(tuple(step.hook for step in steps), facts.rules)
    for step in steps:
        try:
            watch.during(step.name)
        except OSError as error:
            raise StepFailed(step.name, "cannot be made", error.strerror or "") from error
    process.run(["iptables-restore", "--noflush", "--wait", "5"], stdin=text)
    for step in steps:
        watch.after(step.name)


def _pins(places: InstancePaths) -> None:
    """Make /run/netns what `ip netns` expects, if nobody has yet. Raises: StepFailed."""
    if netns.pins_are_mounted():
        return
    write_journal(places, replace(read_journal(places), mounted_pins=True))
    try:
        netns.mount_pins()
    except OSError as error:
        raise StepFailed(str(netns.PINS), "cannot be mounted", str(error)) from error


def _tour(
    steps: Sequence[Namespace | VethPair], facts: Facts, progress: Progress, watch: Watch
) -> None:
    """Make namespaces and what is in them; this child never comes back to the host's own."""
    where = ""
    inside = Netlink()
    sysctls = Sysctls()
    bridges: dict[str, int] = {}
    with Netlink() as outside:
        for number, step in enumerate(steps, 1):
            if number % _TELL_EVERY == 0 and len(steps) > _TELL_EVERY:
                progress(f"{number} of {len(steps)} namespaces and links made")
            with _done(step, watch):
                fresh = isinstance(step, Namespace) and step.namespace not in facts.namespaces
                if step.namespace != where:
                    if fresh:
                        child.fresh()
                    else:
                        child.enter(netns.PINS / step.namespace)
                    where = step.namespace
                    with inside:
                        inside = Netlink()
                if isinstance(step, Namespace):
                    sysctls.enter()
                    _namespace(step, inside, sysctls, fresh)
                else:
                    if step.bridge not in bridges:
                        bridges[step.bridge] = _index(outside, step.bridge)
                    _pair(step, bridges[step.bridge], outside, inside, facts)


def _namespace(step: Namespace, inside: Netlink, sysctls: Sysctls, fresh: bool) -> None:
    """Set up the namespace we are in. It bears our mark before anybody can see it."""
    inside.send([rtnetlink.mark_loopback(step.mark)])
    # A kernel without IPv6 has nothing of it to turn off.
    sysctls.write(step.sysctls, optional="net.ipv6.")
    if fresh:
        netns.pin(step.namespace)


def _pair(step: VethPair, bridge: int, outside: Netlink, inside: Netlink, facts: Facts) -> None:
    """Join the namespace that we are in to its bridge."""
    near = facts.links.get(step.host_end)
    home = facts.namespaces.get(step.namespace)
    far = home.links.get(step.link) if home else None
    if near is not None and far is None:  # its other end went with an older namespace
        outside.send([rtnetlink.delete_link(near.index)])
        near = None
    if near is None:
        with suppress(OSError):  # its other end was moved away, or renamed and is removed by now
            inside.send([rtnetlink.delete_link(socket.if_nametoindex(step.link))])
        far = None
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:  # alone, as a bridge is
            outside.send(
                [rtnetlink.new_pair(step.host_end, step.link, own, step.mtu, step.group, step.mac)]
            )
        finally:
            os.close(own)
    requests = rtnetlink.set_up(
        step.host_end,
        mtu=step.mtu if near else None,
        now=near.mtu if near else step.mtu,
        alias=step.mark,
        group=step.group if near else None,
        master=bridge,
    )
    if step.hairpin or (near is not None and near.hairpin):
        requests = (*requests, rtnetlink.hairpin(step.host_end, step.hairpin))
    outside.send(requests)
    index = socket.if_nametoindex(step.link)
    inside.send(
        [
            *rtnetlink.set_up(
                step.link, mtu=step.mtu if far else None, mac=step.mac if far else ""
            ),
            *_only_address(index, step.address, far),
            # An address removed or a link set down takes the routes along: always set anew.
            rtnetlink.default_route(index, step.gateway),
        ]
    )


def _index(netlink: Netlink, name: str) -> int:
    """Ask the socket's own namespace, which is not that of this thread, for an index."""
    return rtnetlink.told(netlink.get(rtnetlink.GET_LINK, rtnetlink.named(name))).index

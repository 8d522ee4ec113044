"""Create and correct links: bridges, veth pairs, and the VXLANs that join several hosts.

These are the effects of `Bridge`, `VethPair` and the steps of `vxlan_steps`. Everything goes over
netlink, a step's requests in one message.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from twinstack.linux import neigh, rtnetlink
from twinstack.linux.links import LinkFacts
from twinstack.linux.netlink import Netlink, Request
from twinstack.namespaces import dumps
from twinstack.namespaces.facts import NetFacts
from twinstack.namespaces.steps import Bridge, VethPair
from twinstack.namespaces.vxlan_steps import SourceRoute, VxlanEntries, VxlanPort


def create_bridge(step: Bridge, facts: NetFacts) -> None:
    """Create or correct a bridge. Raises: OSError."""
    current = facts.links.get(step.link)
    with Netlink() as netlink:
        if current is None:
            # Alone: the kernel continues past a refusal, and what follows would be done by name
            # to whatever link has it.
            netlink.send([rtnetlink.new_bridge(step.link, step.mtu, step.group, step.mac)])
        settings = rtnetlink.set_up(
            step.link,
            mtu=step.mtu,
            current_mtu=current.mtu if current else step.mtu,
            alias=step.mark,
            group=step.group,
            # Setting even the same MAC again would flush the permanent neighbours.
            mac=step.mac if current and current.mac != step.mac else "",
        )
        netlink.send([rtnetlink.filter_bridge(step.link, step.filtered), *settings])
        index = socket.if_nametoindex(step.link)
        netlink.send(_set_address(index, step.address, current))


def _set_address(index: int, address: str, current: LinkFacts | None) -> list[Request]:
    """Leave a link with one address."""
    present = current.addresses if current else frozenset()
    if present == {address}:
        return []
    # With a primary address the kernel removes its secondaries: ours is always set again.
    foreign = [rtnetlink.delete_address(index, other) for other in sorted(present - {address})]
    return [*foreign, rtnetlink.put_address(index, address)]


def create_pair(
    step: VethPair, bridge: int, outside: Netlink, inside: Netlink, facts: NetFacts
) -> None:
    """Join the namespace that we are in to its bridge. Raises: OSError."""
    near = facts.links.get(step.host_end)
    namespace = facts.namespaces.get(step.namespace)
    far = namespace.links.get(step.link) if namespace else None
    apart = near is not None and far is not None and near.peer not in {None, far.index}
    if near is not None and (far is None or apart):  # its end went with an older namespace
        outside.send([rtnetlink.delete_link(near.index)])
        near = None
    if near is None:
        with suppress(OSError):  # its other end was moved away, or renamed and then removed
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
        current_mtu=near.mtu if near else step.mtu,
        alias=step.mark,
        group=step.group if near else None,
        master=bridge,
    )
    if step.hairpin or (near is not None and near.hairpin):
        requests = (*requests, rtnetlink.set_hairpin(step.host_end, step.hairpin))
    outside.send(requests)
    index = socket.if_nametoindex(step.link)
    settings = rtnetlink.set_up(
        step.link, mtu=step.mtu if far else None, mac=step.mac if far else ""
    )
    # Routes go with a removed address or a link set down: the default route is always set again.
    route = rtnetlink.default_route(index, step.gateway)
    inside.send([*settings, *_set_address(index, step.address, far), route])


def create_vxlan(step: VxlanPort, facts: NetFacts) -> None:
    """Create or correct a VXLAN link; one with another identity is replaced. Raises: OSError."""
    current = facts.links.get(step.link)
    with Netlink() as netlink:
        if current is not None and current.vxlan != step.identity:
            netlink.send([rtnetlink.delete_link(current.index)])
            current = None
        if current is None:  # alone, as a bridge is
            netlink.send(
                [
                    rtnetlink.new_vxlan(
                        step.link, step.vni, step.local, step.port, step.mtu, step.group
                    )
                ]
            )
        bridge = socket.if_nametoindex(step.bridge)
        settings = rtnetlink.set_up(
            step.link, mtu=step.mtu, alias=step.mark, group=step.group, master=bridge
        )
        netlink.send([*settings, rtnetlink.set_port_static(step.link)])


def set_entries(step: VxlanEntries) -> None:
    """Make the entries those that are declared; surplus ones go first. Raises: OSError."""
    indexes = {name: socket.if_nametoindex(name) for name in (step.link, step.bridge)}
    current = step.current(dumps.read_neighbours())
    with Netlink() as netlink:
        surplus, missing = sorted(current - step.entries), sorted(step.entries - current)
        netlink.send([neigh.delete(indexes[entry.link], entry) for entry in surplus])
        netlink.send([neigh.put(indexes[entry.link], entry) for entry in missing])


def set_route(step: SourceRoute) -> None:
    """Reach a segment from this host's own address. Raises: OSError."""
    with Netlink() as netlink:
        index = socket.if_nametoindex(step.bridge)
        netlink.send([rtnetlink.source_route(index, step.subnet, step.source)])

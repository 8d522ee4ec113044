"""Carry out the steps of `vxlan_steps` in the kernel, and observe what is there of them."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping

from twinstack.linux import links, neigh, rtnetlink
from twinstack.linux.neigh import NeighbourEntry
from twinstack.linux.netlink import Netlink
from twinstack.linux.rtnetlink import RTM
from twinstack.namespaces.facts import FdbFacts, NetFacts
from twinstack.namespaces.vxlan_steps import ALL_ZEROS_MAC, SourceRoute, VxlanEntries, VxlanPort


def create_link(step: VxlanPort, facts: NetFacts) -> None:
    """Create or correct a VXLAN link; one with another identity is replaced. Raises: OSError."""
    current = facts.links.get(step.link)
    with Netlink() as netlink:
        if current is not None and current.vxlan != step.identity:
            netlink.send([rtnetlink.delete_link(current.index)])
            current = None
        if current is None:  # alone, as in apply
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
    link, bridge = (socket.if_nametoindex(name) for name in (step.link, step.bridge))
    with Netlink() as netlink:
        names = {link: step.link, bridge: step.bridge}
        current = _read(netlink, names, {step.link: step.bridge})[step.link]
        addresses = {address for address, _ in step.neighbours}
        gone = {address for address, _ in current.neighbours} - addresses
        surplus = [neigh.delete_vtep(link, *pair) for pair in current.remote - step.remote]
        surplus += [neigh.delete_port(link, mac) for mac in current.ports - step.ports]
        surplus += [neigh.delete_neighbour(bridge, address) for address in gone]
        netlink.send(surplus)
        missing = [
            neigh.put_vtep(link, mac, host, append=mac == ALL_ZEROS_MAC)
            for mac, host in sorted(step.remote - current.remote)
        ]
        missing += [neigh.put_port(link, mac) for mac in sorted(step.ports - current.ports)]
        missing += [
            neigh.put_neighbour(bridge, *pair)
            for pair in sorted(step.neighbours - current.neighbours)
        ]
        netlink.send(missing)


def set_route(step: SourceRoute) -> None:
    """Reach a segment from this host's own address. Raises: OSError."""
    with Netlink() as netlink:
        index = socket.if_nametoindex(step.bridge)
        netlink.send([rtnetlink.source_route(index, step.subnet, step.source)])


def observe(steps: Iterable[object]) -> tuple[dict[str, FdbFacts], dict[tuple[str, str], str]]:
    """Read the entries and route sources that the steps declare; nothing where none is declared."""
    steps = tuple(steps)
    bridges = {step.link: step.bridge for step in steps if isinstance(step, VxlanEntries)}
    if not bridges and not any(isinstance(step, SourceRoute) for step in steps):
        return {}, {}
    names = dict(socket.if_nameindex())
    sources: dict[tuple[str, str], str] = {}
    with Netlink() as netlink:
        for route in links.dump_routes(netlink):
            if route.source:
                key = (route.destination, names.get(route.index, ""))
                sources.setdefault(key, route.source)
        return _read(netlink, names, bridges), sources


def _read(
    netlink: Netlink, names: Mapping[int, str], bridges: Mapping[str, str]
) -> dict[str, FdbFacts]:
    """Read the permanent entries of VXLAN links; `bridges` maps each link to its bridge."""
    by_link: dict[str, list[NeighbourEntry]] = {}
    for entry in _entries(netlink):
        by_link.setdefault(names.get(entry.index, ""), []).append(entry)
    return {
        link: FdbFacts(
            frozenset((e.mac, e.to) for e in by_link.get(link, ()) if e.table == "vxlan"),
            frozenset(e.mac for e in by_link.get(link, ()) if e.table == "bridge"),
            frozenset((e.to, e.mac) for e in by_link.get(bridge, ()) if e.table == "neighbour"),
        )
        for link, bridge in bridges.items()
    }


def _entries(netlink: Netlink) -> Iterator[NeighbourEntry]:
    for body in (neigh.EVERY_FDB_ENTRY, neigh.EVERY_NEIGHBOUR):
        for answer in netlink.dump(RTM.GETNEIGH, body):
            if (entry := neigh.read_entry(answer)) is not None:
                yield entry

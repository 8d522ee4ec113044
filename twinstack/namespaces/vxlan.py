"""Do the steps of `tunnels` in the kernel, and see what is there of them."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

from twinstack.linux import neigh, rtnetlink
from twinstack.linux.links import LinkFacts
from twinstack.linux.neigh import Entry
from twinstack.linux.netlink import Netlink
from twinstack.namespaces.facts import Facts, ForwardingFacts
from twinstack.namespaces.vxlan_steps import EVERYBODY, Forwarding, SourceRoute, Tunnel


def make(step: Tunnel, facts: Facts) -> None:
    """Make a tunnel, or put it right; one with another identity is made anew. Raises: OSError."""
    there = facts.links.get(step.link)
    with Netlink() as netlink:
        if there is not None and not _same(step, there):
            netlink.send([rtnetlink.delete_link(there.index)])
            there = None
        if there is None:  # alone: see apply
            netlink.send(
                [
                    rtnetlink.new_tunnel(
                        step.link, step.vni, step.local, step.port, step.mtu, step.group
                    )
                ]
            )
        bridge = socket.if_nametoindex(step.bridge)
        netlink.send(
            [
                *rtnetlink.set_up(
                    step.link, mtu=step.mtu, alias=step.mark, group=step.group, master=bridge
                ),
                rtnetlink.quiet_port(step.link),
            ]
        )


def _same(step: Tunnel, there: LinkFacts) -> bool:
    """Tell what cannot be changed on a link: only whoever is the same can be put right."""
    now = there.tunnel
    return (
        now is not None
        and now.df
        and not now.learning
        and ((now.vni, now.local, now.port) == (step.vni, str(step.local), step.port))
    )


def forward(step: Forwarding) -> None:
    """Make the entries those that are declared: what is too much goes first. Raises: OSError."""
    tunnel, bridge = (socket.if_nametoindex(name) for name in (step.link, step.bridge))
    with Netlink() as netlink:
        there = read(netlink, {tunnel: step.link, bridge: step.bridge}, {step.link: step.bridge})
        now = there[step.link]
        gone = {address for address, _ in now.neighbours} - {a for a, _ in step.neighbours}
        netlink.send(
            [
                *(neigh.delete_remote(tunnel, *one) for one in sorted(now.remote - step.remote)),
                *(neigh.delete_port(tunnel, mac) for mac in sorted(now.ports - step.ports)),
                *(neigh.delete_neighbour(bridge, address) for address in sorted(gone)),
            ]
        )
        netlink.send(
            [
                *(
                    neigh.put_remote(tunnel, mac, host, beside=mac == EVERYBODY)
                    for mac, host in sorted(step.remote - now.remote)
                ),
                *(neigh.put_port(tunnel, mac) for mac in sorted(step.ports - now.ports)),
                *(
                    neigh.put_neighbour(bridge, *one)
                    for one in sorted(step.neighbours - now.neighbours)
                ),
            ]
        )


def route(step: SourceRoute) -> None:
    """Ask a segment from this host's own address. Raises: OSError."""
    with Netlink() as netlink:
        index = socket.if_nametoindex(step.bridge)
        netlink.send([rtnetlink.source_route(index, step.subnet, step.source)])


def read(
    netlink: Netlink, names: Mapping[int, str], bridges: Mapping[str, str]
) -> dict[str, ForwardingFacts]:
    """Gather the fixed entries of tunnels; `bridges` maps each tunnel to its bridge."""
    found = [
        *_entries(netlink, neigh.EVERY_FORWARDING),
        *_entries(netlink, neigh.EVERY_NEIGHBOUR),
    ]
    by_link: dict[str, list[Entry]] = {}
    for one in found:
        by_link.setdefault(names.get(one.index, ""), []).append(one)
    return {
        tunnel: ForwardingFacts(
            frozenset((e.mac, e.to) for e in by_link.get(tunnel, ()) if e.where == "tunnel"),
            frozenset(e.mac for e in by_link.get(tunnel, ()) if e.where == "port"),
            frozenset((e.to, e.mac) for e in by_link.get(bridge, ()) if e.where == "neighbour"),
        )
        for tunnel, bridge in bridges.items()
    }


def _entries(netlink: Netlink, body: bytes) -> Iterable[Entry]:
    for answer in netlink.dump(neigh.GET_ENTRY, body):
        entry = neigh.read_entry(answer)
        if entry is not None:
            yield entry


def observe(
    steps: Iterable[object],
) -> tuple[dict[str, ForwardingFacts], dict[tuple[str, str], str]]:
    """See what is there of the steps' entries and routes; nothing is asked where none is wanted."""
    steps = tuple(steps)
    bridges = {step.link: step.bridge for step in steps if isinstance(step, Forwarding)}
    if not bridges and not any(isinstance(step, SourceRoute) for step in steps):
        return {}, {}
    names = dict(socket.if_nameindex())
    sources: dict[tuple[str, str], str] = {}
    with Netlink() as netlink:
        for answer in netlink.dump(rtnetlink.GET_ROUTE, rtnetlink.EVERY_ROUTE):
            if told := rtnetlink.read_source(answer):
                (destination, index), source = told
                sources.setdefault((destination, names.get(index, "")), source)
        return read(netlink, names, bridges), sources

"""Read the host and each namespace over netlink: links, addresses, routes, neighbours, sysctls.

Every namespace is entered in one child that never returns; it sends back plain data.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from twinstack.errors import Missing, NotOurs
from twinstack.linux import links, neigh, netns
from twinstack.linux.links import LinkFacts, LinkIdentity
from twinstack.linux.neigh import NeighbourEntry
from twinstack.linux.netlink import Netlink
from twinstack.linux.rtnetlink import RTM
from twinstack.linux.sysctl import Sysctls
from twinstack.model.names import instance_of, not_ours
from twinstack.model.plan import Plan
from twinstack.namespaces.facts import NamespaceFacts
from twinstack.namespaces.steps import NAMESPACE_SYSCTLS
from twinstack.world import Link


def read_host() -> tuple[dict[str, LinkFacts], dict[tuple[str, str], str | None]]:
    """Dump the links and the routes of the namespace we are in.

    A route is its destination and interface → the address that this host sends from on it.
    """
    routes: dict[tuple[str, str], str | None] = {}
    with Netlink() as netlink:
        found = links.dump_links(netlink)
        names = {link.index: link.name for link in found.values()}
        for route in links.dump_routes(netlink):
            if route.destination != links.DEFAULT:
                routes.setdefault((route.destination, names.get(route.index, "")), route.source)
    return found, routes


def read_neighbours() -> frozenset[NeighbourEntry]:
    """Dump the static FDB entries and neighbours of the namespace we are in."""
    names = dict(socket.if_nameindex())
    with Netlink() as netlink:
        return frozenset(
            entry
            for body in (neigh.EVERY_FDB_ENTRY, neigh.EVERY_NEIGHBOUR)
            for answer in netlink.dump(RTM.GETNEIGH, body)
            if (entry := neigh.read_entry(answer, names)) is not None
        )


def read_identities() -> dict[str, LinkIdentity]:
    """Dump the identities of the links of the namespace we are in; cheaper than `read_host`."""
    with Netlink() as netlink:
        identities = map(links.read_identity, links.dump_messages(netlink))
        return {link.name: link for link in identities}


def marked_namespaces(mark: str) -> tuple[str, ...]:
    """List the pinned namespaces that carry a mark, by whatever name."""
    with finding_marked(mark) as answer:
        return answer()


@contextmanager
def finding_marked(mark: str) -> Iterator[Callable[[], tuple[str, ...]]]:
    """Find the pinned namespaces that carry a mark; yields what waits for the answer."""

    with netns.visiting(netns.pinned(), _mark) as answer:
        yield lambda: tuple(name for name, carried in answer().items() if carried == mark)


def absence(plan: Plan) -> Missing:
    """Give the error of a world that is not up; it names the instance that has its names."""
    links = read_identities()
    bridges = (segment.bridge for segment in plan.segments)
    carried = [(f"bridge {name}", links[name].alias) for name in bridges if name in links]
    namespaces = _marks(replica.name for replica in plan.here)
    carried += ((f"namespace {name}", mark) for name, mark in namespaces.items())
    for name, mark in carried:
        if (instance := instance_of(mark)) not in {None, plan.instance}:
            remedy = f"look at that one (TWINSTACK_INSTANCE={instance}), or take it down first"
            return Missing("net world", "is not up", f"{name} {not_ours(mark)}", remedy)
    return Missing("net world", "is not up", remedy='run "invoke net.up"')


def check_ours(plan: Plan, replicas: Iterable[str]) -> None:
    """Check that replicas' namespaces are there and carry our mark. Raises: Missing, NotOurs."""
    wanted = tuple(replicas)
    carried = _marks(wanted)
    if wanted and plan.mark not in carried.values():
        raise absence(plan)
    for name in wanted:
        if name not in carried:
            remedy = 'run "invoke net.up"'
            raise Missing(f"namespace {name}", "cannot be entered", "it is absent", remedy)
        if carried[name] != plan.mark:
            cause = f"it {not_ours(carried[name])}"
            remedy = "use ip netns exec"
            raise NotOurs(f"namespace {name}", "is not entered", cause, remedy)


def _marks(namespaces: Iterable[str]) -> dict[str, str | None]:
    """Give the mark that each of these namespaces carries; those that are absent are left out."""
    with netns.visiting(tuple(filter(netns.is_pinned, namespaces)), _mark) as answer:
        return answer()


def _mark(_namespace: str) -> str | None:
    with Netlink() as netlink:
        return links.loopback_alias(netlink)


@contextmanager
def visiting(names: Iterable[str], mark: str) -> Iterator[Callable[[], dict[str, NamespaceFacts]]]:
    """Enter each pinned namespace that is named or marked, and read its links and routes.

    Yields what waits for the answer.
    """
    named = set(names)
    sysctls = Sysctls()

    def read(name: str) -> NamespaceFacts | None:
        sysctls.enter()
        with Netlink() as netlink:
            carried = links.loopback_alias(netlink)
            if carried != mark and name not in named:
                return None  # foreign: nothing in it is read
            gateways = [
                str(route.gateway)
                for route in links.dump_routes(netlink)
                if route.destination == links.DEFAULT
            ]
            return NamespaceFacts(
                name=name,
                inode=os.stat("/proc/thread-self/ns/net").st_ino,
                mark=carried,
                links=links.dump_links(netlink),
                default_gateway=" and ".join(gateways) or None,
                sysctls=sysctls.read(key for key, _ in NAMESPACE_SYSCTLS),
            )

    with netns.visiting(netns.pinned(), read) as answer:
        yield lambda: {name: facts for name, facts in answer().items() if facts is not None}


def observe_links(plan: Plan) -> tuple[Link, ...]:
    """List what carries our mark, in the plan's order. Raises: Missing for none; StepFailed."""
    with visiting((), plan.mark) as waiting_namespaces:
        host, _ = read_host()
        namespaces = waiting_namespaces()
    segments = {segment.bridge: segment.name for segment in plan.segments}
    replicas = {replica.host_link: replica.name for replica in plan.here}
    bridges, host_ends = [], []
    for name, link in host.items():
        if link.alias != plan.mark:
            continue
        if link.kind == "bridge":
            bridges.append(Link(name, "bridge", "", segments.get(name, ""), ""))
        elif link.kind == "veth":
            segment, replica = segments.get(link.master or "", ""), replicas.get(name, "")
            host_ends.append(Link(name, "host end", "", segment, replica))
    segment_of = {end.replica: end.segment for end in host_ends}
    inside_ends = [
        Link(link, "inside", str(netns.PINS / name), segment_of.get(name, ""), name)
        for name, namespace in namespaces.items()
        for link in namespace.links
        if link != "lo"
    ]
    if not (bridges or host_ends or inside_ends):
        raise absence(plan)
    names = (*segments.values(), *(replica.name for replica in plan.replicas))
    order = {name: number for number, name in enumerate(names)}

    def position(link: Link) -> int:
        return order.get(link.segment if link.kind == "bridge" else link.replica, len(order))

    groups = (bridges, host_ends, inside_ends)
    return tuple(link for group in groups for link in sorted(group, key=position))

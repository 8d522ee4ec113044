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
from twinstack.linux.links import LinkFacts
from twinstack.linux.neigh import NeighbourEntry
from twinstack.linux.netlink import Netlink
from twinstack.linux.rtnetlink import RTM
from twinstack.linux.sysctl import Sysctls
from twinstack.model.names import not_ours
from twinstack.model.plan import Plan
from twinstack.namespaces import marks
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


def absence(plan: Plan) -> Missing:
    """Give the error of a world that is not up; it names the instance that has its names."""
    bridges = (segment.bridge for segment in plan.segments)
    return marks.absence(plan.instance, bridges, (replica.name for replica in plan.here))


def check_ours(plan: Plan, replicas: Iterable[str]) -> None:
    """Check that replicas' namespaces are there and carry our mark. Raises: Missing, NotOurs."""
    wanted = tuple(replicas)
    carried = marks.of_namespaces(wanted)
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

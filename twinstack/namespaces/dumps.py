"""What netlink tells of the host and of each namespace: links, addresses, routes, sysctls.

Every namespace is entered in one child that never comes back; what it saw comes as plain data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from twinstack.linux import netns, rtnetlink
from twinstack.linux.links import LinkFacts, LinkIdentity
from twinstack.linux.netlink import Netlink
from twinstack.linux.sysctl import Sysctls
from twinstack.namespaces.facts import NamespaceFacts
from twinstack.namespaces.network_steps import NAMESPACE_SYSCTLS


def read_host() -> tuple[dict[str, LinkFacts], tuple[tuple[str, str], ...]]:
    """Dump the links and the routes (destination, interface) of the namespace we are in."""
    with Netlink() as netlink:
        found = read_links(netlink)
        by_index = {link.index: link.name for link in found.values()}
        routes = tuple(
            (destination, by_index.get(index, ""))
            for destination, _, index in _routes(netlink)
            if not destination.startswith("0.0.0.0/0")
        )
    return found, routes


def read_links(netlink: Netlink) -> dict[str, LinkFacts]:
    """Dump the links of the namespace that the socket is in, with their IPv4 addresses."""
    addresses: dict[int, set[str]] = {}
    for body in netlink.dump(rtnetlink.GET_ADDRESS, rtnetlink.EVERY_ADDRESS):
        index, written = rtnetlink.read_address(body)
        addresses.setdefault(index, set()).add(written)
    dumped = read_told(netlink)
    names = {link.index: link.name for link in dumped}
    on = {index: frozenset(found) for index, found in addresses.items()}
    return {link.name: rtnetlink.read_link(link, names, on) for link in dumped}


def read_identities() -> dict[str, LinkIdentity]:
    """Dump of the links of the namespace we are in what tells whose they are, and no more."""
    with Netlink() as netlink:
        found = map(rtnetlink.read_identity, read_told(netlink))
        return {link.name: link for link in found}


def read_told(netlink: Netlink) -> list[rtnetlink.Told]:
    """Dump the links of the namespace that the socket is in, without looking deeper."""
    return [rtnetlink.told(body) for body in netlink.dump(rtnetlink.GET_LINK, rtnetlink.EVERY_LINK)]


def _routes(netlink: Netlink) -> Iterable[tuple[str, str | None, int]]:
    for body in netlink.dump(rtnetlink.GET_ROUTE, rtnetlink.EVERY_ROUTE):
        route = rtnetlink.read_route(body)
        if route is not None:
            yield route


def marked_namespaces(mark: str) -> tuple[str, ...]:
    """List the pinned namespaces that bear a mark, whatever their names."""
    with looking_for_marked(mark) as answer:
        return answer()


@contextmanager
def looking_for_marked(mark: str) -> Iterator[Callable[[], tuple[str, ...]]]:
    """Look for the pinned namespaces that bear a mark; gives what waits for the answer."""

    def is_marked(_name: str) -> bool:
        with Netlink() as netlink:
            return _loopback_alias(netlink) == mark

    with netns.visiting(netns.pinned(), is_marked) as answer:
        yield lambda: tuple(name for name, marked in answer().items() if marked)


def _loopback_alias(netlink: Netlink) -> str | None:
    return rtnetlink.told(netlink.get(rtnetlink.GET_LINK, rtnetlink.LOOPBACK)).alias


@contextmanager
def looking_into(
    wanted: Iterable[str], mark: str
) -> Iterator[Callable[[], dict[str, NamespaceFacts]]]:
    """Enter each pinned namespace that is wanted or marked; look at its links and routes.

    Gives what waits for the answer.
    """
    wanted = set(wanted)
    pinned = netns.pinned()
    sysctls = Sysctls()

    def look(name: str) -> NamespaceFacts | None:
        sysctls.enter()
        with Netlink() as netlink:
            ours = _loopback_alias(netlink) == mark
            if not ours and name not in wanted:
                return None  # somebody else's: nothing of it is looked at
            gateways = [
                gateway
                for destination, gateway, _ in _routes(netlink)
                if destination == "0.0.0.0/0"
            ]
            return NamespaceFacts(
                name=name,
                inode=os.stat("/proc/thread-self/ns/net").st_ino,
                ours=ours,
                links=read_links(netlink),
                default_gateway=" and ".join(str(one) for one in gateways) or None,
                sysctls=sysctls.read(key for key, _ in NAMESPACE_SYSCTLS),
            )

    with netns.visiting(pinned, look) as answer:
        yield lambda: {name: one for name, one in answer().items() if one is not None}

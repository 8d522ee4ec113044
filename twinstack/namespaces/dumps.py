"""Read the host and each namespace over netlink: links, addresses, routes, sysctls.

Every namespace is entered in one child that never returns; it sends back plain data.
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
from twinstack.namespaces.steps import NAMESPACE_SYSCTLS


def read_host() -> tuple[dict[str, LinkFacts], tuple[tuple[str, str], ...]]:
    """Dump the links and the routes (destination, interface) of the namespace we are in."""
    with Netlink() as netlink:
        links = read_links(netlink)
        names = {link.index: link.name for link in links.values()}
        routes = tuple(
            (destination, names.get(index, ""))
            for destination, _, index in _routes(netlink)
            if not destination.startswith("0.0.0.0/0")
        )
    return links, routes


def read_links(netlink: Netlink) -> dict[str, LinkFacts]:
    """Dump the links of the namespace that the socket is in, with their IPv4 addresses."""
    addresses: dict[int, set[str]] = {}
    for body in netlink.dump(rtnetlink.GET_ADDRESS, rtnetlink.EVERY_ADDRESS):
        index, address = rtnetlink.read_address(body)
        addresses.setdefault(index, set()).add(address)
    links = _dump_links(netlink)
    names = {link.index: link.name for link in links}
    by_index = {index: frozenset(on_link) for index, on_link in addresses.items()}
    return {link.name: rtnetlink.read_link(link, names, by_index) for link in links}


def read_identities() -> dict[str, LinkIdentity]:
    """Dump the identities of the links of the namespace we are in; cheaper than `read_links`."""
    with Netlink() as netlink:
        links = map(rtnetlink.read_identity, _dump_links(netlink))
        return {link.name: link for link in links}


def _dump_links(netlink: Netlink) -> list[rtnetlink.Told]:
    return [rtnetlink.told(body) for body in netlink.dump(rtnetlink.GET_LINK, rtnetlink.EVERY_LINK)]


def _routes(netlink: Netlink) -> Iterator[tuple[str, str | None, int]]:
    for body in netlink.dump(rtnetlink.GET_ROUTE, rtnetlink.EVERY_ROUTE):
        if (route := rtnetlink.read_route(body)) is not None:
            yield route


def marked_namespaces(mark: str) -> tuple[str, ...]:
    """List the pinned namespaces that carry a mark, by whatever name."""
    with finding_marked(mark) as answer:
        return answer()


@contextmanager
def finding_marked(mark: str) -> Iterator[Callable[[], tuple[str, ...]]]:
    """Find the pinned namespaces that carry a mark; yields what waits for the answer."""

    def is_marked(_name: str) -> bool:
        with Netlink() as netlink:
            return _loopback_alias(netlink) == mark

    with netns.visiting(netns.pinned(), is_marked) as answer:
        yield lambda: tuple(name for name, marked in answer().items() if marked)


def _loopback_alias(netlink: Netlink) -> str | None:
    return rtnetlink.told(netlink.get(rtnetlink.GET_LINK, rtnetlink.LOOPBACK)).alias


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
            ours = _loopback_alias(netlink) == mark
            if not ours and name not in named:
                return None  # foreign: nothing in it is read
            gateways = [
                str(gateway)
                for destination, gateway, _ in _routes(netlink)
                if destination == "0.0.0.0/0"
            ]
            return NamespaceFacts(
                name=name,
                inode=os.stat("/proc/thread-self/ns/net").st_ino,
                ours=ours,
                links=read_links(netlink),
                default_gateway=" and ".join(gateways) or None,
                sysctls=sysctls.read(key for key, _ in NAMESPACE_SYSCTLS),
            )

    with netns.visiting(netns.pinned(), read) as answer:
        yield lambda: {name: facts for name, facts in answer().items() if facts is not None}

"""Whose links and namespaces there are, by their marks: a dump and a visit, and no plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from twinstack.errors import Missing
from twinstack.linux import links, netns
from twinstack.linux.links import LinkIdentity
from twinstack.linux.netlink import Netlink
from twinstack.model.names import instance_of, not_ours


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

    with netns.visiting(netns.pinned(), _mark_here) as answer:
        yield lambda: tuple(name for name, carried in answer().items() if carried == mark)


def absence(instance: str, bridges: Iterable[str], namespaces: Iterable[str]) -> Missing:
    """Give the error of a world that is not up; it names the instance that has its names."""
    present = read_identities()
    carried = [(f"bridge {name}", present[name].alias) for name in bridges if name in present]
    found = of_namespaces(namespaces)
    carried += ((f"namespace {name}", mark) for name, mark in found.items())
    for name, mark in carried:
        if (other := instance_of(mark)) not in {None, instance}:
            remedy = f"look at that one (TWINSTACK_INSTANCE={other}), or take it down first"
            return Missing("net world", "is not up", f"{name} {not_ours(mark)}", remedy)
    return Missing("net world", "is not up", remedy='run "invoke net.up"')


def of_namespaces(namespaces: Iterable[str]) -> dict[str, str | None]:
    """Give the mark that each of these namespaces carries; those that are absent are left out."""
    with netns.visiting(tuple(filter(netns.is_pinned, namespaces)), _mark_here) as answer:
        return answer()


def _mark_here(_namespace: str) -> str | None:
    with Netlink() as netlink:
        return links.loopback_alias(netlink)

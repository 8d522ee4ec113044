"""Flows as the kernel tells them: the conntrack table now, then its events and NFLOG's packets.

Nothing is set, and no rule is added: the kernel sends both to whoever listens, and forgets us when
our sockets close.
"""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from twinstack.linux import child, conntrack, nflog
from twinstack.linux.conntrack import IPCTNL, ConntrackEntry, ConntrackTuple
from twinstack.linux.links import own_addresses
from twinstack.linux.netlink import messages
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.flows.flow import (
    ALLOWED,
    DROPPED,
    FlowFilter,
    FlowVerdict,
    ObservedFlow,
    WorldFlows,
    last_packet,
    latest,
)
from twinstack.policy.chains import NFLOG_GROUP

_DATAGRAM_BYTES = 1 << 18
#: How long what came meanwhile is told from the table: while a flood goes on there is always more.
_DRAIN_S = 1.0
Plans = Mapping[WorldName, Plan]
#: What one connection is known by.
_Key = tuple[int, ConntrackTuple]


@dataclass(frozen=True, slots=True)
class PresentFlows:
    """The table's connections of some worlds."""

    flows: tuple[ObservedFlow, ...]
    keys: frozenset[_Key]
    addresses: tuple[IPv4Address | IPv6Address, ...]  # the host's own


def present(plans: Plans, host: Path | None) -> PresentFlows:
    """Read the table of the host's netns. Raises: CannotTell without one; StepFailed."""
    return child.inside("host", host, partial(_read, plans))


def shown(plans: Plans, host: Path | None, chosen: FlowFilter, last: int) -> list[ObservedFlow]:
    """Give the last so many of the table's that are chosen; `present` carries every one over here.

    Raises: as `present`.
    """

    def choose() -> list[ObservedFlow]:
        return latest(filter(chosen.shows, _read(plans).flows), last)

    return child.inside("host", host, choose)


def _read(plans: Plans) -> PresentFlows:
    addresses = own_addresses()
    worlds = _worlds(plans, addresses)
    timeouts, now = conntrack.timeouts(), time.time()
    flows: list[ObservedFlow] = []
    keys: set[_Key] = set()
    with conntrack.asked() as netlink:
        for body in netlink.dump(IPCTNL.GET, conntrack.EVERY):
            entry, use = conntrack.read_entry(body), conntrack.read_use(body)
            last = last_packet(entry, use.left_s, timeouts, now)
            ours = [world.allowed(entry, last, use.transferred) for world in worlds]
            flows += filter(None, ours)
            if any(ours):
                keys.add(_key(entry))
    return PresentFlows(tuple(flows), frozenset(keys), addresses)


def follow(
    plans: Plans,
    host: Path | None,
    verdicts: Iterable[FlowVerdict],
    lost: Callable[[str], None],
) -> Iterator[list[ObservedFlow]]:
    """Give the connections there are, then without end what is new, a batch at a time.

    A time is when the kernel told us: it gathers denied packets for up to 0.1 s. `lost` is called
    where it had to leave some out. Raises: CannotTell when another program listens; OSError.
    """
    wanted = frozenset(verdicts)
    with ExitStack() as kept:
        selector = kept.enter_context(selectors.DefaultSelector())
        for verdict, create in _SOURCES.items():
            if verdict in wanted:
                opened = kept.enter_context(child.socket_in(host, create))
                selector.register(opened, selectors.EVENT_READ, verdict)
        there = present(plans, host)
        yield list(there.flows) if ALLOWED in wanted else []
        worlds = _worlds(plans, there.addresses)
        # What came before and while the table was read may be in it too; later a key is a new one.
        until_s = time.monotonic() + _DRAIN_S
        while time.monotonic() < until_s and (ready := selector.select(0)):
            yield list(_received(ready, worlds, there.keys, lost))
        while True:
            yield list(_received(selector.select(), worlds, frozenset(), lost))


_SOURCES: Mapping[FlowVerdict, Callable[[], socket.socket]] = {
    ALLOWED: partial(conntrack.opened, conntrack.NEW_GROUP),
    DROPPED: partial(nflog.opened, NFLOG_GROUP),
}


def _received(
    ready: Iterable[tuple[selectors.SelectorKey, int]],
    worlds: list[WorldFlows],
    known: frozenset[_Key],
    lost: Callable[[str], None],
) -> Iterator[ObservedFlow]:
    """Read one datagram of each socket that has some."""
    for key, _ in ready:
        assert isinstance(key.fileobj, socket.socket)
        try:
            data = key.fileobj.recv(_DATAGRAM_BYTES)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            lost(f"some {key.data} ones are missing: more came than the kernel keeps for us")
            continue
        now = time.time()
        if key.data == DROPPED:
            for packet in nflog.packets(data):
                yield from filter(None, (world.dropped(packet, now) for world in worlds))
            continue
        for kind, _, _, body in messages(memoryview(data)):
            if kind != IPCTNL.NEW:
                continue
            entry = conntrack.read_entry(body)
            if _key(entry) not in known:
                yield from filter(None, (world.allowed(entry, now) for world in worlds))


def _key(entry: ConntrackEntry) -> _Key:
    return entry.protocol, entry.original


def _worlds(plans: Plans, addresses: Iterable[IPv4Address | IPv6Address]) -> list[WorldFlows]:
    return [WorldFlows(plan, name, addresses) for name, plan in plans.items()]

"""Snapshots of a world's connections: once, or again and again with the events in between.

Read from the kernel: the host's conntrack table, each namespace's sockets, events. A child enters
a namespace to read. The socket that receives events is opened in there and passed out, since it
belongs to the namespace that it was opened in.
"""

from __future__ import annotations

import errno
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from twinstack.linux import child, conntrack, sock_diag
from twinstack.linux.conntrack import IPCTNL
from twinstack.linux.links import own_addresses
from twinstack.linux.netlink import NETLINK, Netlink, messages
from twinstack.linux.procfs import sysctl_numbers
from twinstack.linux.sock_diag import TcpSocket
from twinstack.model.plan import HOST, Plan
from twinstack.model.topology import WorldName
from twinstack.observe.connections import report
from twinstack.observe.connections.counts import (
    ConnectionGroup,
    WorldConnections,
    count_sockets,
    group_of,
    numbers,
    port_count,
)
from twinstack.observe.connections.report import ConntrackEvents, ConntrackTable, NamespaceSockets
from twinstack.observe.connections.warnings import warnings
from twinstack.observe.traffic.peers import PeerDirectory
from twinstack.world import LocalWorld, namespaces_of

Address = IPv4Address | IPv6Address
_DATAGRAM_BYTES = 1 << 18
#: Counts overruns of the socket's buffer; no message of the kernel has this type.
_LOST = -1
#: At most this part of the time is spent on snapshots: a full table takes seconds to read.
_BUSY_PART = 0.2
_EVERY_S = 2.0


def _read_table() -> tuple[ConntrackTable, Counter[ConnectionGroup], tuple[Address, ...]]:
    """Read all of this namespace's table, and its own addresses. Raises: CannotTell without one."""
    with conntrack.asked() as netlink:
        # The size first: what comes meanwhile is listed, so it never counts more than listed.
        entries, limit = conntrack.size() or (0, None)
        every = netlink.dump(IPCTNL.GET, conntrack.EVERY)
        counts = Counter(group_of(conntrack.read_entry(body)) for body in every)
        pressure = conntrack.read_stats(netlink.dump(IPCTNL.GET_STATS_CPU, conntrack.EVERY))
    table = ConntrackTable(entries, limit, counts.total(), of_world=0, pressure=pressure)
    return table, counts, own_addresses()


class EventCounter:
    """Counts the kernel's events on a namespace's table."""

    def __init__(self, events: socket.socket) -> None:
        self._events = events
        self._since = time.monotonic()

    def receive(self, seconds: float) -> ConntrackEvents:
        """Receive events for so long, and count all since the last call."""
        counts: Counter[int] = Counter()
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._events.settimeout(left)
            try:
                data = self._events.recv(_DATAGRAM_BYTES)
            except TimeoutError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                counts[_LOST] += 1
            else:
                counts.update(kind for kind, _, _, _ in messages(memoryview(data)))
        began, self._since = self._since, time.monotonic()
        kinds = (IPCTNL.NEW, IPCTNL.DELETE, _LOST)
        return ConntrackEvents(self._since - began, *(counts[kind] for kind in kinds))


@contextmanager
def counting_events(namespace: Path | None) -> Iterator[EventCounter]:
    """Receive a namespace's events while the block lasts. Raises: OSError."""
    groups = conntrack.NEW_GROUP | conntrack.DESTROY_GROUP
    with child.socket_in(namespace, lambda: conntrack.opened(groups)) as events:
        yield EventCounter(events)


def take(world: LocalWorld, events: report.ConntrackEvents | None = None) -> report.Connections:
    """Take one. Raises: Missing without root or when the world is down; CannotTell; StepFailed."""
    namespaces = namespaces_of(world)
    plan = world.plan
    table, counts, addresses = child.inside("host", namespaces[HOST], _read_table)
    directory = PeerDirectory([plan], addresses)
    ours = WorldConnections(counts, directory, plan, world.name)
    table = replace(table, of_world=ours.total)
    sockets, pairs = _sockets(plan, world.name, directory, namespaces), ours.pairs()
    return report.Connections(
        world=world.name,
        shape=plan.shape,
        table=table,
        pairs=pairs,
        translations=ours.translations(),
        sources=ours.sources(),
        sockets=sockets,
        absent=tuple(replica.name for replica in plan.replicas if replica.name not in namespaces),
        events=events,
        warnings=warnings(table, pairs, sockets),
    )


def follow(
    worlds: Sequence[LocalWorld], seconds: float | None = None
) -> Iterator[tuple[report.Connections, ...]]:
    """Take one of each world every other second until the time is over; None: without end.

    The last one has the events of the whole time, every other those since the one before: they are
    the table's, which worlds of one host share. Raises: as `take`.
    """
    host = namespaces_of(worlds[0])[HOST]
    started = time.monotonic()
    with counting_events(host) as counter:
        pause, total = _EVERY_S, report.ConntrackEvents(0, 0, 0, 0)
        while True:
            left = None if seconds is None else started + seconds - time.monotonic()
            last = left is not None and left <= pause
            recent = counter.receive(pause if left is None else min(pause, max(left, 0)))
            total += recent
            began = time.monotonic()
            events = total if last else recent
            yield tuple(take(world, events) for world in worlds)
            if last:
                return
            pause = max(_EVERY_S, (time.monotonic() - began) * (1 / _BUSY_PART - 1))


def _sockets(
    plan: Plan, world: WorldName, directory: PeerDirectory, namespaces: Mapping[str, Path | None]
) -> tuple[NamespaceSockets, ...]:
    """Count each namespace's TCP sockets, of the host's only the world's. Raises: StepFailed."""
    published = {port.port for port in plan.published_ports if port.world == world}
    services = {replica.name: replica.service for replica in plan.replicas} | {HOST: HOST}

    def belongs(where: str, one: TcpSocket) -> bool:
        if where != HOST or published & {one.local_port, one.peer_port}:
            return True
        return any(directory.peer(*numbers(raw)).world == world for raw in (one.local, one.peer))

    def read(name: str) -> NamespaceSockets:
        with Netlink(NETLINK.SOCK_DIAG) as netlink:
            sockets = [tcp for tcp in sock_diag.dump(netlink) if belongs(name, tcp)]
        tracked, _ = conntrack.size() or (0, None)
        (limit,) = sysctl_numbers("net.ipv4.tcp_max_tw_buckets") or (None,)
        ports = port_count(*sysctl_numbers("net.ipv4.ip_local_port_range"))
        return count_sockets(name, services[name], sockets, tracked, limit, ports)

    known = {name: namespace for name, namespace in namespaces.items() if name in services}
    counts = child.each(known, read)
    return tuple(counts[name] for name in services if name in counts)

"""Read connections from the kernel: the host's conntrack table, each namespace's sockets, events.

A child enters a namespace to read. The socket that receives events is opened in there and passed
out, since it belongs to the namespace that it was opened in.
"""

from __future__ import annotations

import errno
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from twinstack.errors import CannotTell
from twinstack.linux import child, conntrack, sock_diag
from twinstack.linux.conntrack import IPCTNL, ConntrackStats
from twinstack.linux.links import own_addresses
from twinstack.linux.netlink import NETLINK, Netlink, Refused, messages
from twinstack.linux.procfs import sysctl_numbers
from twinstack.linux.sock_diag import TcpSocket
from twinstack.observe.connections.counts import (
    ConnectionGroup,
    count_sockets,
    group_of,
    port_count,
)
from twinstack.observe.connections.report import ConntrackEvents, NamespaceSockets

_BUFFER_BYTES = 8 << 20
_SO_RCVBUFFORCE = 33
_DATAGRAM_BYTES = 1 << 18
#: Counts overruns of the socket's buffer; no message of the kernel has this type.
_LOST = -1


@dataclass(frozen=True, slots=True)
class HostTable:
    """The conntrack table of the host's namespace."""

    entries: int
    limit: int | None
    pressure: ConntrackStats
    counts: Counter[ConnectionGroup]
    addresses: tuple[IPv4Address | IPv6Address, ...]  # the host's own


def table(namespace: Path | None) -> HostTable:
    """Read all of the host namespace's table; None is our own. Raises: CannotTell without one."""
    return child.inside("host", namespace, _table)


def _table() -> HostTable:
    try:
        with Netlink(NETLINK.NETFILTER) as netlink:
            # The size first: what comes meanwhile is listed, so it never counts more than listed.
            entries, limit = conntrack.size() or (0, None)
            every = netlink.dump(IPCTNL.GET, conntrack.EVERY)
            counts = Counter(group_of(conntrack.read_entry(body)) for body in every)
            pressure = conntrack.read_stats(netlink.dump(IPCTNL.GET_STATS_CPU, conntrack.EVERY))
    except Refused as error:
        raise CannotTell(
            "connection tracking",
            "cannot be asked",
            error.strerror or str(error),
            "run: modprobe nf_conntrack_netlink",
        ) from error
    return HostTable(entries, limit, pressure, counts, own_addresses())


def sockets_in(
    namespaces: Mapping[str, Path | None],
    services: Mapping[str, str],
    belongs: Callable[[str, TcpSocket], bool],
) -> dict[str, NamespaceSockets]:
    """Count each namespace's TCP sockets that belong, and what it tracks. Raises: StepFailed.

    `services` are those of its replica.
    """

    def read(name: str) -> NamespaceSockets:
        with Netlink(NETLINK.SOCK_DIAG) as netlink:
            sockets = [tcp for tcp in sock_diag.dump(netlink) if belongs(name, tcp)]
        tracked, _ = conntrack.size() or (0, None)
        (limit,) = sysctl_numbers("net.ipv4.tcp_max_tw_buckets") or (None,)
        ports = port_count(*sysctl_numbers("net.ipv4.ip_local_port_range"))
        return count_sockets(name, services[name], sockets, tracked, limit, ports)

    return child.each(namespaces, read)


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
    with child.socket_in(namespace, _events_socket) as events:
        yield EventCounter(events)


def _events_socket() -> socket.socket:
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK.NETFILTER)
    events.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    events.bind((0, conntrack.NEW_GROUP | conntrack.DESTROY_GROUP))
    return events

"""Ask the kernel about connections: the host's table, each namespace's sockets, its events.

Reads only. A namespace is entered by a child; a socket that listens to events is opened in there
and handed out, since it stays in the namespace that it was opened in.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from twinstack.errors import CannotTell, Missing
from twinstack.linux import child, conntrack, sock_diag
from twinstack.linux.conntrack import Pressure
from twinstack.linux.netlink import NETFILTER, Netlink, Refused, attributes, messages
from twinstack.linux.sock_diag import Socket
from twinstack.observe.connections.counts import Alike, count
from twinstack.observe.connections.report import Events
from twinstack.observe.connections.socket_summary import Gathered, port_count

_GET_ADDRESS, _EVERY_ADDRESS, _ADDRESS_BYTES = 22, bytes(8), 8
_ADDRESS, _LOCAL = 1, 2
_BUFFER_BYTES = 8 << 20
_SO_RCVBUFFORCE = 33
_DATAGRAM_BYTES = 1 << 18
#: No kind of the kernel's: it had more to tell than there was room for.
_LOST = -1


@dataclass(frozen=True, slots=True)
class HostTable:
    """What the host's namespace told of its table; `addresses` are the host's own."""

    entries: int
    limit: int | None
    pressure: Pressure
    counts: Counter[Alike]
    addresses: tuple[IPv4Address | IPv6Address, ...]


def table(namespace: Path | None) -> HostTable:
    """Read the whole table of the host's namespace, None for ours.

    Raises: Missing without root; CannotTell where the kernel does not track connections.
    """
    require_root()
    return child.inside("host", namespace, _table)


def _table() -> HostTable:
    try:
        with Netlink(NETFILTER) as netlink:
            # The size first: what comes meanwhile is listed, so less is never listed than is told.
            entries, limit = _size(netlink)
            counts = count(
                conntrack.read_entry(body) for body in netlink.dump(conntrack.GET, conntrack.EVERY)
            )
            pressure = conntrack.read_pressure(
                [bytes_of(body) for body in netlink.dump(conntrack.GET_CPU, conntrack.EVERY)]
            )
    except Refused as error:
        raise CannotTell(
            "connection tracking",
            "cannot be asked",
            error.strerror or str(error),
            "run: modprobe nf_conntrack_netlink",
        ) from error
    if limit is None:
        limit = _switch("net/netfilter/nf_conntrack_max")
    with Netlink() as netlink:
        addresses = tuple(_addresses(netlink))
    return HostTable(entries, limit, pressure, counts, addresses)


def bytes_of(body: memoryview) -> memoryview:
    """Keep a message past the next datagram."""
    return memoryview(bytes(body))


def _size(netlink: Netlink) -> tuple[int, int | None]:
    return conntrack.read_size(netlink.get(conntrack.GET_SIZE, conntrack.EVERY))


def _addresses(netlink: Netlink) -> Iterator[IPv4Address | IPv6Address]:
    for body in netlink.dump(_GET_ADDRESS, _EVERY_ADDRESS):
        told = attributes(body[_ADDRESS_BYTES:])
        raw = told.get(_LOCAL, told.get(_ADDRESS))
        if raw is not None:
            address = ip_address(bytes(raw))
            if not address.is_loopback:
                yield address


def sockets_in(
    places: Mapping[str, Path | None], wanted: Callable[[str, Socket], bool]
) -> dict[str, Gathered]:
    """Ask each namespace for its TCP sockets that are wanted, and how much it tracks itself.

    One that is gone meanwhile is left out. Raises: Missing without root; StepFailed.
    """
    require_root()

    def gather(name: str) -> Gathered:
        found = Gathered()
        with Netlink(sock_diag.FAMILY) as netlink:
            told = [
                sock_diag.read_socket(body)
                for family in (socket.AF_INET, socket.AF_INET6)
                for body in netlink.dump(sock_diag.ASK, sock_diag.question(family))
            ]
        found.take(one for one in told if wanted(name, one))
        found.time_wait_limit = _switch("net/ipv4/tcp_max_tw_buckets")
        found.local_ports = port_count(_read("net/ipv4/ip_local_port_range"))
        with Netlink(NETFILTER) as netlink:
            found.tracked, _ = _size(netlink)
        return found

    return child.each(places, gather)


class Listening:
    """Counts the kernel's events on a namespace's table."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        self._began = self._since = time.monotonic()
        self._all: Counter[int] = Counter()
        self._fresh: Counter[int] = Counter()

    def wait(self, seconds: float) -> None:
        """Take in events for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._told.settimeout(left)
            try:
                data = self._told.recv(_DATAGRAM_BYTES)
            except TimeoutError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._fresh[_LOST] += 1
                continue
            self._fresh.update(kind for kind, _, _, _ in messages(memoryview(data)))

    def recent(self) -> Events:
        """Give what was told since the last time."""
        now = time.monotonic()
        found = _summed(self._fresh, now - self._since)
        self._all += self._fresh
        self._fresh, self._since = Counter(), now
        return found

    def total(self) -> Events:
        """Give what was told since the beginning."""
        self.recent()
        return _summed(self._all, self._since - self._began)


def _summed(counts: Counter[int], seconds: float) -> Events:
    return Events(seconds, counts[conntrack.NEW], counts[conntrack.DESTROYED], counts[_LOST])


@contextmanager
def listening(namespace: Path | None) -> Iterator[Listening]:
    """Listen to the events of a namespace's table while the block lasts.

    Raises: Missing without root; StepFailed, OSError.
    """
    require_root()
    with _opened(namespace) as told:
        yield Listening(told)


def _opened(namespace: Path | None) -> socket.socket:
    if namespace is None:
        return _events_socket()
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def hand_over() -> None:
            with _events_socket() as made:
                socket.send_fds(theirs, [b"."], [made.fileno()])

        child.inside("host", namespace, hand_over)
        _, handles, _, _ = socket.recv_fds(ours, 1, 1)
    return socket.socket(fileno=handles[0])


def _events_socket() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)
    made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    made.bind((0, conntrack.NEW_GROUP | conntrack.DESTROYED_GROUP))
    return made


def require_root() -> None:
    """Raise Missing unless we are root."""
    if os.geteuid() != 0:
        raise Missing("connections", "cannot be seen", "this needs root", "run it with sudo")


def _switch(path: str) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _read(path: str) -> str:
    try:
        return (Path("/proc/sys") / path).read_text(encoding="ascii")
    except OSError:
        return ""

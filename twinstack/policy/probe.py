"""Ask every cell of a truth table at once: a child in each source, listeners in each destination.

A listener stands on every probed port that no service has, so that silence means "denied" and not
"nothing there". All sockets of a source wait together. A TCP port is open when its handshake and
the end of the connection were both acknowledged: one packet that slips through is no connection.
"""

from __future__ import annotations

import errno
import fcntl
import os
import selectors
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path

from twinstack.linux import child
from twinstack.model.plan import HOST
from twinstack.policy.truth_table import Cell
from twinstack.policy.verdict import OPEN

WAIT_S = 1.0
SILENCE = "no answer"
_OUTCOMES = {
    errno.ECONNREFUSED: "refused",
    errno.EPERM: "not permitted",
    errno.EACCES: "not permitted",
    errno.EADDRNOTAVAIL: "no address",
    errno.ENETUNREACH: "no route",
    errno.EHOSTUNREACH: "no route",
}
#: A service behind docker-proxy is asked this: any answer to it is the service's own.
_REQUEST = b"GET / HTTP/1.0\r\n\r\n"
_BACKLOG = 4096
_POLL_S = 0.02
# Source: sockios.h, tcp_states.h, icmp.h, icmpv6.h.
SIOCGIFADDR, SIOCGIFHWADDR = 0x8915, 0x8927
TCP_FIN_WAIT2, TCP_TIME_WAIT, TCP_CLOSE = 5, 6, 7
ICMP_ECHOREPLY, ICMP_ECHO = 0, 8
ICMPV6_ECHO_REQUEST, ICMPV6_ECHO_REPLY = 128, 129


@dataclass(frozen=True, slots=True)
class ProbeLink:
    """An interface as its owner sees it."""

    index: int
    address: str
    hardware: bytes  # its MAC
    link_local: str | None

    @property
    def ipv6(self) -> str:
        """Give its link-local address, or the one that EUI-64 makes of its MAC."""
        mac = self.hardware
        inner = bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
        return self.link_local or str(IPv6Address(b"\xfe\x80" + bytes(6) + inner))


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """Where to ask a cell."""

    cell: Cell
    address: str  # "" where source or destination has no interface
    scope: int = 0  # the interface's index, for link-local

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if self.cell.protocol.endswith("6") else socket.AF_INET

    @property
    def kind(self) -> socket.SocketKind:
        return socket.SOCK_DGRAM if self.cell.protocol == "udp" else socket.SOCK_STREAM

    def endpoint(self, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
        """Give what `connect` and `sendto` take."""
        if self.family == socket.AF_INET6:
            return self.address, port, 0, self.scope
        return self.address, port


def ask(
    cells: Sequence[Cell],
    namespaces: Mapping[str, Path | None],
    own: Mapping[tuple[str, str], str],
    wait_s: float = WAIT_S,
) -> dict[Cell, str]:
    """Ask every cell whose address is known; gives `OPEN`, or how it was closed.

    `namespaces` maps each endpoint to its netns, None for the caller's; `own` maps (endpoint,
    segment) to an address. Raises: StepFailed, OSError.
    """
    with ExitStack() as stack:
        listeners: dict[str, child.Child] = {}
        for name, namespace in namespaces.items():
            ports = sorted(
                {
                    (cell.protocol, cell.address, cell.port)
                    for cell in cells
                    if cell.destination == name and cell.port
                    if not (name == HOST and cell.upstream)
                }
            )
            sockets: list[socket.socket] = []
            listeners[name] = child.start(
                name, namespace, partial(_listen, ports, sockets), partial(_echo, sockets)
            )
            stack.callback(listeners[name].end)
        links = {name: listener.answer() for name, listener in listeners.items()}
        askers = []
        for name, namespace in namespaces.items():
            targets = [_target(cell, links, own) for cell in cells if cell.source == name]
            if targets:
                asker = child.start(name, namespace, partial(_ask, targets, wait_s))
                stack.callback(asker.end)
                askers.append((targets, asker))
        return {
            target.cell: outcome
            for targets, asker in askers
            for target, outcome in zip(targets, asker.answer(), strict=True)
        }


def _target(
    cell: Cell,
    links: Mapping[str, Sequence[ProbeLink]],
    own: Mapping[tuple[str, str], str],
) -> ProbeTarget:
    if not cell.protocol.endswith("6"):
        return ProbeTarget(cell, cell.address)

    def link_of(endpoint: str) -> ProbeLink | None:
        address = own.get((endpoint, cell.segment))
        return next((link for link in links.get(endpoint, ()) if link.address == address), None)

    source, destination = link_of(cell.source), link_of(cell.destination)
    if source is None or destination is None:
        return ProbeTarget(cell, "")
    return ProbeTarget(cell, destination.ipv6, source.index)


def _listen(
    ports: Sequence[tuple[str, str, int]], listening: list[socket.socket]
) -> tuple[ProbeLink, ...]:
    """Listen on ports that no service has, and give this namespace's interfaces."""
    for protocol, address, port in ports:
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        family = socket.AF_INET6 if protocol == "tcp6" else socket.AF_INET
        listener = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        try:
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address or ("::" if family == socket.AF_INET6 else "0.0.0.0"), port))
            if kind == socket.SOCK_STREAM:
                listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:  # a service listens: it is the better listener
                raise
        else:
            listening.append(listener)
    return tuple(_links())


def _echo(listening: Sequence[socket.socket]) -> None:
    """Send every datagram back, until this child is killed; the kernel answers TCP."""
    with selectors.DefaultSelector() as selector:
        for listener in listening:
            if listener.type == socket.SOCK_DGRAM:
                selector.register(listener, selectors.EVENT_READ, listener)
        while True:
            for key, _ in selector.select(None if selector.get_map() else 3600):
                with suppress(OSError):
                    data, sender = key.data.recvfrom(64)
                    key.data.sendto(data, sender)


def _links() -> Iterator[ProbeLink]:
    link_local = {}
    with suppress(FileNotFoundError):
        for line in Path("/proc/thread-self/net/if_inet6").read_text().splitlines():
            words = line.split()
            if words[0].startswith("fe80"):
                link_local[words[5]] = str(IPv6Address(bytes.fromhex(words[0])))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for index, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode())
            with suppress(OSError):  # it has no address
                address = fcntl.ioctl(any_socket, SIOCGIFADDR, request)[20:24]
                hardware = fcntl.ioctl(any_socket, SIOCGIFHWADDR, request)[18:24]
                yield ProbeLink(index, socket.inet_ntoa(address), hardware, link_local.get(name))


def _ask(targets: Sequence[ProbeTarget], wait_s: float) -> list[str]:
    """Ask all at once in the namespace that we are in; gives the outcomes in their order."""
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        return _Asker(targets, selector, stack).ask(wait_s)


class _Asker:
    def __init__(
        self,
        targets: Sequence[ProbeTarget],
        selector: selectors.BaseSelector,
        stack: ExitStack,
    ) -> None:
        self._targets = targets
        self._selector = selector
        self._stack = stack
        self._outcomes: list[str | None] = [None] * len(targets)
        self._closing: dict[int, socket.socket] = {}
        self._raw: dict[str, socket.socket] = {}
        self._identity = os.getpid() & 0xFFFF

    def ask(self, wait_s: float) -> list[str]:
        for index, target in enumerate(self._targets):
            if not target.address:
                self._outcomes[index] = "no interface there"
                continue
            with self._judging(index):
                if target.cell.protocol.startswith("icmp"):
                    self._ping(index, target)
                else:
                    self._connect(index, target)
        deadline = time.monotonic() + wait_s
        late = False
        while None in self._outcomes and not late:
            # On a busy machine the time may be over with answers unread: read them first.
            late = time.monotonic() > deadline
            for key, events in self._selector.select(_POLL_S):
                assert isinstance(key.fileobj, socket.socket)
                if key.data is None:
                    self._read_echoes(key.fileobj)
                    continue
                self._selector.unregister(key.fileobj)
                with self._judging(key.data):
                    self._hear(key.data, key.fileobj, events)
            for index, closing in list(self._closing.items()):
                state = closing.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
                if state in {TCP_FIN_WAIT2, TCP_TIME_WAIT, TCP_CLOSE}:  # our FIN is acknowledged
                    self._judge(index, OPEN)
                    del self._closing[index]
        return [outcome or SILENCE for outcome in self._outcomes]

    def _judge(self, index: int, outcome: str) -> None:
        self._outcomes[index] = self._outcomes[index] or outcome

    @contextmanager
    def _judging(self, index: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._judge(index, _OUTCOMES.get(error.errno or 0, error.strerror or str(error)))

    def _connect(self, index: int, target: ProbeTarget) -> None:
        connection = socket.socket(target.family, target.kind | socket.SOCK_NONBLOCK)
        self._stack.callback(connection.close)
        if target.kind == socket.SOCK_STREAM:  # a reset at close: no state stays in the kernel
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        _raise(connection.connect_ex(target.endpoint(target.cell.port)))
        if target.kind == socket.SOCK_DGRAM:
            connection.send(b"twinstack")
        reads = target.kind == socket.SOCK_DGRAM
        event = selectors.EVENT_READ if reads else selectors.EVENT_WRITE
        self._selector.register(connection, event, index)

    def _hear(self, index: int, connection: socket.socket, events: int) -> None:
        """Take what a socket has: an error, a datagram, an answer, or a connection to end."""
        proxied = self._targets[index].cell.proxied
        if events & selectors.EVENT_READ:
            data = connection.recv(64)
            self._judge(index, OPEN if data or not proxied else "ended by the proxy")
            return
        _raise(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        if proxied:  # docker-proxy has accepted: only data is an answer
            connection.send(_REQUEST)
            self._selector.register(connection, selectors.EVENT_READ, index)
        else:
            connection.shutdown(socket.SHUT_WR)
            self._closing[index] = connection

    def _ping(self, index: int, target: ProbeTarget) -> None:
        version6 = target.family == socket.AF_INET6
        if target.cell.protocol not in self._raw:
            number = socket.IPPROTO_ICMPV6 if version6 else socket.IPPROTO_ICMP
            raw = socket.socket(target.family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, number)
            self._stack.callback(raw.close)
            self._selector.register(raw, selectors.EVENT_READ)
            self._raw[target.cell.protocol] = raw
        kind = ICMPV6_ECHO_REQUEST if version6 else ICMP_ECHO
        packet = struct.pack("!BBHHH", kind, 0, 0, self._identity, index)
        if not version6:  # the kernel fills in ICMPv6's own checksum
            packet = packet[:2] + _checksum(packet) + packet[4:]
        self._raw[target.cell.protocol].sendto(packet, target.endpoint(0))

    def _read_echoes(self, raw: socket.socket) -> None:
        version6 = raw.family == socket.AF_INET6
        reply = ICMPV6_ECHO_REPLY if version6 else ICMP_ECHOREPLY
        with suppress(BlockingIOError):
            while data := raw.recv(256):
                start = 0 if version6 else (data[0] & 0x0F) * 4
                if len(data) >= start + 8:
                    kind, _, _, identity, index = struct.unpack_from("!BBHHH", data, start)
                    if (kind, identity) == (reply, self._identity):
                        self._judge(index, OPEN)


def _raise(code: int) -> None:
    if code not in {0, errno.EINPROGRESS}:
        raise OSError(code, os.strerror(code))


def _checksum(packet: bytes) -> bytes:
    """Give an ICMP packet's checksum. Source: RFC 792."""
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)

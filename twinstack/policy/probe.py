"""Ask every cell of a truth table at once: a child in each source, listeners in each destination.

A listener stands on every probed port that no service has, so that silence means "denied" and not
"nothing there". All sockets of a source wait together. A TCP port is open when its handshake and
the end of the connection were both acknowledged: one packet that slips through is no connection.
"""

from __future__ import annotations

import asyncio
import errno
import os
import selectors
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path

from twinstack.linux import child
from twinstack.linux.links import dump_links
from twinstack.linux.netlink import Netlink
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
# Source: tcp_states.h, icmp.h, icmpv6.h.
TCP_FIN_WAIT2, TCP_TIME_WAIT, TCP_CLOSE = 5, 6, 7
ICMP_ECHOREPLY, ICMP_ECHO = 0, 8
ICMPV6_ECHO_REQUEST, ICMPV6_ECHO_REPLY = 128, 129


@dataclass(frozen=True, slots=True)
class ProbeLink:
    """An interface as its owner sees it."""

    index: int
    address: str
    mac: str
    link_local: str | None

    @property
    def ipv6(self) -> str:
        """Give its link-local address, or the one that EUI-64 makes of its MAC."""
        mac = bytes.fromhex(self.mac.replace(":", ""))
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
    elsewhere: Mapping[str, Sequence[ProbeLink]] | None = None,
) -> dict[Cell, str]:
    """Ask every cell whose address is known; gives `OPEN`, or how it was closed.

    `namespaces` maps each endpoint to its netns, None for the caller's; `own` maps (endpoint,
    segment) to an address; `elsewhere` maps destinations on other machines, which listen there,
    to their interfaces. Raises: StepFailed, OSError.
    """
    with ExitStack() as stack:
        links = {**(elsewhere or {}), **stack.enter_context(listening(cells, namespaces))}
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


@contextmanager
def listening(
    cells: Sequence[Cell], namespaces: Mapping[str, Path | None]
) -> Iterator[dict[str, Sequence[ProbeLink]]]:
    """Listen on the asked ports of destinations while the block lasts; gives their interfaces.

    Raises: StepFailed, OSError.
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
        yield {name: listener.answer() for name, listener in listeners.items()}


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
    with Netlink() as netlink:
        for link in dump_links(netlink).values():
            for interface in link.addresses:
                address = interface.partition("/")[0]
                yield ProbeLink(link.index, address, link.mac, link_local.get(link.name))


def _ask(targets: Sequence[ProbeTarget], wait_s: float) -> list[str]:
    """Ask all at once in the namespace that we are in; gives the outcomes in their order."""
    return asyncio.run(_ask_all(targets, wait_s))


async def _ask_all(targets: Sequence[ProbeTarget], wait_s: float) -> list[str]:
    with ExitStack() as stack:
        pings = _Pings(stack)
        tasks = [asyncio.create_task(_outcome(target, pings, stack)) for target in targets]
        _, late = await asyncio.wait(tasks, timeout=wait_s)
        if late:
            # On a busy machine the time may be over with answers unread: read them first.
            _, late = await asyncio.wait(tasks, timeout=_POLL_S)
        for task in late:
            task.cancel()
        return [SILENCE if task in late else task.result() for task in tasks]


async def _outcome(target: ProbeTarget, pings: _Pings, stack: ExitStack) -> str:
    if not target.address:
        return "no interface there"
    try:
        if target.cell.protocol.startswith("icmp"):
            return await pings.ask(target)
        connection = socket.socket(target.family, target.kind | socket.SOCK_NONBLOCK)
        stack.callback(connection.close)
        return await _connect(target, connection)
    except OSError as error:
        return _OUTCOMES.get(error.errno or 0) or os.strerror(error.errno or 0)


async def _connect(target: ProbeTarget, connection: socket.socket) -> str:
    loop = asyncio.get_running_loop()
    if target.kind == socket.SOCK_DGRAM:
        await loop.sock_connect(connection, target.endpoint(target.cell.port))
        await loop.sock_sendall(connection, b"twinstack")
        await loop.sock_recv(connection, 64)
        return OPEN
    # A reset at close: no state stays in the kernel.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await loop.sock_connect(connection, target.endpoint(target.cell.port))
    if target.cell.proxied:  # docker-proxy has accepted: only data is an answer
        await loop.sock_sendall(connection, _REQUEST)
        return OPEN if await loop.sock_recv(connection, 64) else "ended by the proxy"
    connection.shutdown(socket.SHUT_WR)
    acknowledged = {TCP_FIN_WAIT2, TCP_TIME_WAIT, TCP_CLOSE}  # states after that of our FIN
    while connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] not in acknowledged:
        await asyncio.sleep(_POLL_S)
    return OPEN


class _Pings:
    """Echo requests of a namespace: a raw socket for each of ICMP and ICMPv6."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._raw: dict[socket.AddressFamily, socket.socket] = {}
        self._replies: list[asyncio.Future[str]] = []
        self._identity = os.getpid() & 0xFFFF

    async def ask(self, target: ProbeTarget) -> str:
        """Send an echo request and wait for its reply. Raises: OSError."""
        loop, version6 = asyncio.get_running_loop(), target.family == socket.AF_INET6
        if target.family not in self._raw:
            number = socket.IPPROTO_ICMPV6 if version6 else socket.IPPROTO_ICMP
            raw = socket.socket(target.family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, number)
            self._stack.callback(raw.close)
            loop.add_reader(raw, self._read, raw)
            self._raw[target.family] = raw
        reply: asyncio.Future[str] = loop.create_future()
        self._replies.append(reply)
        kind = ICMPV6_ECHO_REQUEST if version6 else ICMP_ECHO
        packet = struct.pack("!BBHHH", kind, 0, 0, self._identity, len(self._replies) - 1)
        if not version6:  # the kernel fills in ICMPv6's own checksum
            packet = packet[:2] + _checksum(packet) + packet[4:]
        self._raw[target.family].sendto(packet, target.endpoint(0))
        return await reply

    def _read(self, raw: socket.socket) -> None:
        version6 = raw.family == socket.AF_INET6
        expected = ICMPV6_ECHO_REPLY if version6 else ICMP_ECHOREPLY
        with suppress(BlockingIOError):
            while data := raw.recv(256):
                start = 0 if version6 else (data[0] & 0x0F) * 4
                if len(data) >= start + 8:
                    kind, _, _, identity, number = struct.unpack_from("!BBHHH", data, start)
                    ours = (kind, identity) == (expected, self._identity)
                    if ours and not self._replies[number].done():
                        self._replies[number].set_result(OPEN)


def _checksum(packet: bytes) -> bytes:
    """Give an ICMP packet's checksum. Source: RFC 792."""
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)

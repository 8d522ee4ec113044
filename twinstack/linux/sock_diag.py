"""A network namespace's TCP sockets, by sock_diag, as ss(8) asks for them.

/proc/net/tcp says the same and takes the kernel 15 ms: it walks the table of all connections,
where sock_diag can look at listening sockets alone.
Source: sock_diag(7), inet_diag.h, tcp_states.h.
"""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from twinstack.linux.netlink import NETLINK, Netlink

_SOCK_DIAG_BY_FAMILY = 20
#: As ss(8) names TCP's states, by the kernel's number.
STATES = (
    *("", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE"),
    *("CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "SYN_RECV"),
)
_EVERY_STATE, _LISTEN = 0xFFFFFFFF, 1 << STATES.index("LISTEN")
_REQUEST = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states; any socket
#: struct inet_diag_msg: family, state, timer, retransmits; ports; addresses; expires, queues, …
_MESSAGE = struct.Struct("=BBBB2s2s16s16s12xIIIII")


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """One TCP socket: addresses as the kernel's bytes."""

    state: str
    local: bytes
    local_port: int
    peer: bytes
    peer_port: int
    recv_q: int  # bytes to be read; of a listener, connections to be accepted
    send_q: int  # bytes to be acknowledged; of a listener, how many may wait


def dump(netlink: Netlink, states: int = _EVERY_STATE) -> Iterator[TcpSocket]:
    """List the TCP sockets of a SOCK_DIAG socket's namespace. Raises: Refused, OSError."""
    for family in (socket.AF_INET, socket.AF_INET6):
        request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, states)
        yield from map(read_socket, netlink.dump(_SOCK_DIAG_BY_FAMILY, request))


def listeners() -> dict[int, str]:
    """Map each TCP port that a socket listens on to that socket's address.

    Raises: Refused, OSError.
    """
    with Netlink(NETLINK.SOCK_DIAG) as netlink:
        return {tcp.local_port: _shown(tcp.local) for tcp in dump(netlink, _LISTEN)}


def peers(state: str) -> Counter[tuple[IPv4Address, int]]:
    """Count TCP sockets in a state by their remote ends. Same as: ss -4tn state STATE."""
    with Netlink(NETLINK.SOCK_DIAG) as netlink:
        sockets = dump(netlink, 1 << STATES.index(state))
        ends = [(tcp.peer, tcp.peer_port) for tcp in sockets if len(tcp.peer) == 4]
    return Counter((IPv4Address(peer), port) for peer, port in ends)


def _shown(address: bytes) -> str:
    if len(address) == 4:
        return str(IPv4Address(address))
    return "[an IPv6 address]" if any(address) else "[::]"


def read_socket(body: memoryview) -> TcpSocket:
    """Read one answer. Raises: struct.error when it is too short."""
    family, state, _, _, local_port, peer_port, local, peer, _, recv_q, send_q, _, _ = (
        _MESSAGE.unpack_from(body)
    )
    length = 4 if family == socket.AF_INET else 16
    return TcpSocket(
        STATES[state] if state < len(STATES) else f"state {state}",
        local[:length],
        int.from_bytes(local_port, "big"),
        peer[:length],
        int.from_bytes(peer_port, "big"),
        recv_q,
        send_q,
    )

"""Ask a network namespace for its TCP sockets, as ss(8) does, and read what is told; pure.

Source: sock_diag(7), inet_diag.h, tcp_states.h.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

#: The netlink family, and the kind of its one request.
FAMILY, ASK = 4, 20
#: As ss(8) means them, by the kernel's number.
STATES = (
    "",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "SYN_RECV",
)
_EVERY_STATE = 0xFFFFFFFF
_QUESTION = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states, no socket
_ANSWER = struct.Struct("=BBBB2s2s16s16s12xIIIII")


@dataclass(frozen=True, slots=True)
class Socket:
    """One TCP socket: addresses as the kernel's bytes.

    Of a listener `waiting` connections wait to be accepted, of `room` at most; of any other they
    are bytes that wait: to be read, and to be acknowledged.
    """

    state: str
    local: bytes
    local_port: int
    peer: bytes
    peer_port: int
    waiting: int
    room: int


def question(family: int) -> bytes:
    """Pack the question for every TCP socket of a family (AF_INET, AF_INET6)."""
    return _QUESTION.pack(family, socket.IPPROTO_TCP, 0, _EVERY_STATE)


def read_socket(body: memoryview) -> Socket:
    """Read one answer. Raises: struct.error when it is too short."""
    (family, state, _, _, local_port, peer_port, local, peer, _, waiting, room, _, _) = (
        _ANSWER.unpack_from(body)
    )
    length = 4 if family == socket.AF_INET else 16
    return Socket(
        STATES[state] if state < len(STATES) else f"state {state}",
        local[:length],
        int.from_bytes(local_port, "big"),
        peer[:length],
        int.from_bytes(peer_port, "big"),
        waiting,
        room,
    )

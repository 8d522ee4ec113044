"""Who listens on the host: asked of sock_diag, which looks at listening sockets and at no others.

/proc/net/tcp tells the same, and takes the kernel 15 ms: it walks the table of all connections.
Source: sock_diag(7), inet_diag.h.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address

from twinstack.linux.netlink import SOCKETS, Netlink

_BY_FAMILY = 20
_LISTEN = 1 << 10
_QUESTION = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states; of any socket
_PORT = slice(4, 6)
_ADDRESS = slice(8, 24)


def read() -> dict[int, str]:
    """Map each TCP port that somebody on the host listens on to the address of that socket.

    Raises: Refused, OSError.
    """
    found: dict[int, str] = {}
    with Netlink(SOCKETS) as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            question = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, _LISTEN)
            for body in netlink.dump(_BY_FAMILY, question):
                port = int.from_bytes(body[_PORT], "big")
                found[port] = _address(body[0], bytes(body[_ADDRESS]))
    return found


def _address(family: int, packed: bytes) -> str:
    if family == socket.AF_INET:
        return str(IPv4Address(packed[:4]))
    return "[an IPv6 address]" if any(packed) else "[::]"

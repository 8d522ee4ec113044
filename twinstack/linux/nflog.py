"""Listen to what the kernel tells of denied packets: nfnetlink_log, in the namespace of the rules.

LOG is silent in every network namespace but the first; NFLOG speaks in each, to whoever listens
on its group, and costs nothing where nobody does. Source: nfnetlink_log.h, nfnetlink.h.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from twinstack.errors import CannotTell
from twinstack.linux.netlink import (
    ACKNOWLEDGE,
    ERROR,
    NETFILTER,
    attribute,
    attributes,
    messages,
    pack,
    refusal,
)

_PACKET, _CONFIG = 4 << 8, 4 << 8 | 1
_COMMAND, _MODE, _DELAY = 1, 2, 4
_BIND = 1
_COPY_PACKET, _COPY_BYTES = 2, 64
_PAYLOAD, _PREFIX = 9, 10
_NAMES = {1: "icmp", 6: "tcp", 17: "udp"}
#: Hundredths of a second that the kernel may gather packets before it tells them.
_GATHER = 10
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Denied:
    """A packet that was denied; `port` is 0 where its protocol has none."""

    prefix: str
    source: str
    destination: str
    protocol: str
    port: int


def listen(group: int, seconds: float) -> Iterator[Denied]:
    """Give what is told to a group for so long. Raises: CannotTell when somebody else listens."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER) as netlink:
        netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        netlink.bind((0, 0))
        netlink.send(_configuration(group))
        netlink.settimeout(5)
        _heed(netlink.recv(1 << 16), group)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            netlink.settimeout(left)
            try:
                data = netlink.recv(1 << 17)
            except TimeoutError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # some were lost: they are counted all the same
                    raise
                continue
            yield from packets(data)


def _configuration(group: int) -> bytes:
    mode = struct.pack("!IBB", _COPY_BYTES, _COPY_PACKET, 0)
    body = struct.pack("!BBH", 0, 0, group) + attribute(_COMMAND, bytes([_BIND]))
    body += attribute(_MODE, mode) + attribute(_DELAY, struct.pack("!I", _GATHER))
    return pack(_CONFIG, ACKNOWLEDGE, 1, body)


def _heed(data: bytes, group: int) -> None:
    told = messages(memoryview(data))
    refused = next((refusal(body) for kind, _, _, body in told if kind == ERROR), None)
    if refused is not None and refused.errno == errno.EBUSY:
        raise CannotTell(
            "denied packets",
            "cannot be listened to",
            f"somebody listens on group {group}",
            "end the other policy.drops first",
        )
    if refused is not None:
        raise refused


def packets(data: bytes) -> Iterator[Denied]:
    """Read the messages of one datagram of the kernel's; pure."""
    for kind, _, _, body in messages(memoryview(data)):
        if kind == _PACKET:
            found = attributes(body[4:])
            denied = read_packet(bytes(found.get(_PAYLOAD, b"")), bytes(found.get(_PREFIX, b"")))
            if denied is not None:
                yield denied


def read_packet(packet: bytes, prefix: bytes) -> Denied | None:
    """Read an IPv4 packet's ends; None for anything else. Source: RFC 791; pure."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    start = (packet[0] & 0x0F) * 4
    number = packet[9]
    port = 0
    if number in {6, 17} and len(packet) >= start + 4:
        port = int.from_bytes(packet[start + 2 : start + 4], "big")
    return Denied(
        prefix.rstrip(b"\0").decode(errors="replace"),
        str(IPv4Address(packet[12:16])),
        str(IPv4Address(packet[16:20])),
        _NAMES.get(number, f"protocol {number}"),
        port,
    )

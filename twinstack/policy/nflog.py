"""Listen to what the kernel tells of denied packets: nfnetlink_log, in the namespace of the rules.

LOG is silent in every network namespace but the first; NFLOG speaks in each, to whoever listens
on its group, and costs nothing where nobody does. Source: nfnetlink_log.h, nfnetlink.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from twinstack.errors import CannotTell

_NETFILTER = 12
_PACKET, _CONFIG = 4 << 8, 4 << 8 | 1
_COMMAND, _MODE, _DELAY = 1, 2, 4
_BIND = 1
_COPY_PACKET, _COPY_BYTES = 2, 64
_PAYLOAD, _PREFIX = 9, 10
_REQUEST, _ACK, _ERROR = 1, 4, 2
_HEADER = struct.Struct("=IHHII")
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
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as netlink:
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
    body = struct.pack("!BBH", 0, 0, group) + _attribute(_COMMAND, bytes([_BIND]))
    body += _attribute(_MODE, mode) + _attribute(_DELAY, struct.pack("!I", _GATHER))
    return _HEADER.pack(_HEADER.size + len(body), _CONFIG, _REQUEST | _ACK, 1, 0) + body


def _attribute(kind: int, data: bytes) -> bytes:
    length = 4 + len(data)
    return struct.pack("=HH", length, kind) + data + bytes(-length % 4)


def _heed(data: bytes, group: int) -> None:
    _, kind, _, _, _ = _HEADER.unpack_from(data)
    code = -int(struct.unpack_from("=i", data, _HEADER.size)[0]) if kind == _ERROR else 0
    if code == errno.EBUSY:
        raise CannotTell(
            "denied packets", "cannot be listened to", f"somebody listens on group {group}",
            "end the other policy.drops first",
        )  # fmt: skip
    if code:
        raise OSError(code, os.strerror(code))


def packets(data: bytes) -> Iterator[Denied]:
    """Read the messages of one datagram of the kernel's; pure."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        if kind == _PACKET:
            found = _attributes(data[offset + _HEADER.size + 4 : offset + length])
            denied = read_packet(found.get(_PAYLOAD, b""), found.get(_PREFIX, b""))
            if denied is not None:
                yield denied
        offset += (length + 3) & ~3


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


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
        str(IPv4Address(packet[12:16])), str(IPv4Address(packet[16:20])),
        _NAMES.get(number, f"protocol {number}"), port,
    )  # fmt: skip

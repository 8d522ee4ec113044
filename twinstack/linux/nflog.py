"""Denied packets, as the kernel logs them to nfnetlink_log in the namespace of the rules.

LOG is silent in every network namespace but the first. NFLOG logs in each, to the program that
listens on its group, and costs nothing where none does. Source: nfnetlink_log.h, nfnetlink.h.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

from twinstack.errors import CannotTell
from twinstack.linux.netlink import (
    NETLINK,
    NLM,
    NLMSG_ERROR,
    as_text,
    attribute,
    attributes,
    messages,
    pack,
    refusal,
    u8,
)

_SUBSYSTEM = 4 << 8  # NFNL_SUBSYS_ULOG
_NFGENMSG_BYTES = 4


class NFULNL(IntEnum):
    """Kinds of messages, with their subsystem: NFULNL_MSG_*. Source: nfnetlink_log.h."""

    PACKET = _SUBSYSTEM
    CONFIG = _SUBSYSTEM | 1


class NFULA(IntEnum):
    """Attributes of a packet and of a configuration: NFULA_*. Source: nfnetlink_log.h."""

    CFG_CMD = 1
    CFG_MODE = 2
    CFG_TIMEOUT = 4
    PAYLOAD = 9
    PREFIX = 10


_NFULNL_CFG_CMD_BIND, _NFULNL_COPY_PACKET = 1, 2
_COPY_BYTES = 64
#: Hundredths of a second that the kernel may gather packets before it sends them.
_GATHER = 10
_BUFFER_BYTES, _DATAGRAM_BYTES = 1 << 20, 1 << 17
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp"}


@dataclass(frozen=True, slots=True)
class DeniedPacket:
    """A packet that was denied."""

    prefix: str  # the log prefix of the rule that denied it
    source: str
    destination: str
    protocol: str
    port: int  # its destination's; 0 where the protocol has none


def opened(group: int) -> socket.socket:
    """Open a socket to what is logged to a group of the namespace that we are in.

    Raises: CannotTell when the group is taken; OSError.
    """
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK.NETFILTER)
    try:
        netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        netlink.bind((0, 0))
        netlink.send(_bind_request(group))
        netlink.settimeout(5)
        _check_bound(netlink.recv(_DATAGRAM_BYTES), group)
    except BaseException:
        netlink.close()
        raise
    return netlink


def listen(netlink: socket.socket, seconds: float) -> Iterator[DeniedPacket]:
    """Yield what comes to an opened socket for so long. Raises: OSError."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        netlink.settimeout(left)
        try:
            data = netlink.recv(_DATAGRAM_BYTES)
        except TimeoutError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # some were lost; the rule counts them all
                raise
            continue
        yield from packets(data)


def _bind_request(group: int) -> bytes:
    body = struct.pack("!BBH", socket.AF_UNSPEC, 0, group)
    body += u8(NFULA.CFG_CMD, _NFULNL_CFG_CMD_BIND)
    body += attribute(NFULA.CFG_MODE, struct.pack("!IBB", _COPY_BYTES, _NFULNL_COPY_PACKET, 0))
    body += attribute(NFULA.CFG_TIMEOUT, struct.pack("!I", _GATHER))
    return pack(NFULNL.CONFIG, NLM.ACK, 1, body)


def _check_bound(data: bytes, group: int) -> None:
    for kind, _, _, body in messages(memoryview(data)):
        refused = refusal(body) if kind == NLMSG_ERROR else None
        if refused is not None and refused.errno == errno.EBUSY:
            cause, remedy = (
                f"group {group} has a listener",
                "end the other policy.drops or flows first",
            )
            raise CannotTell("denied packets", "cannot be listened to", cause, remedy)
        if refused is not None:
            raise refused


def packets(data: bytes) -> Iterator[DeniedPacket]:
    """Read the messages of one datagram of the kernel's; pure."""
    for kind, _, _, body in messages(memoryview(data)):
        if kind == NFULNL.PACKET:
            parts = attributes(body[_NFGENMSG_BYTES:])
            prefix = as_text(parts.get(NFULA.PREFIX)) or ""
            packet = read_packet(bytes(parts.get(NFULA.PAYLOAD, b"")), prefix)
            if packet is not None:
                yield packet


def read_packet(packet: bytes, prefix: str) -> DeniedPacket | None:
    """Read an IPv4 packet's ends; None for anything else. Source: RFC 791; pure."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    payload = (packet[0] & 0x0F) * 4
    protocol = packet[9]
    port = 0
    if protocol in {6, 17} and len(packet) >= payload + 4:
        port = int.from_bytes(packet[payload + 2 : payload + 4], "big")
    source, destination = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
    name = _PROTOCOLS.get(protocol, f"protocol {protocol}")
    return DeniedPacket(prefix, str(source), str(destination), name, port)

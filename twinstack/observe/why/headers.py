"""The ends of a packet, from its IP header on. Pure. Source: RFC 791, 792, 768, 9293."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

_IPV4 = struct.Struct(">BxHxxxxBB2xII")  # version and size, length, TTL, protocol, addresses
_PORTS = struct.Struct(">HH")
_ETHERNET_BYTES = 14
PROTOCOLS = {1: "ping", 6: "tcp", 17: "udp"}


@dataclass(frozen=True, slots=True)
class Headers:
    """Who sent a packet to whom."""

    protocol: str
    source: str
    source_port: int  # of a ping, its identifier
    destination: str
    destination_port: int  # of a ping, its identifier

    def carries(self, number: int) -> bool:
        """Tell whether it is of the attempt that has this number."""
        return number in {self.source_port, self.destination_port}

    def __str__(self) -> str:
        if self.protocol == "ping":
            return f"{self.source} > {self.destination}"
        return f"{self.source}:{self.source_port} > {self.destination}:{self.destination_port}"


def read(packet: bytes) -> Headers | None:
    """Read a packet; None for what is no whole head of TCP, UDP or an echo over IPv4."""
    if len(packet) < _IPV4.size:
        return None
    size, _, _, number, source, destination = _IPV4.unpack_from(packet)
    start, protocol = (size & 15) * 4, PROTOCOLS.get(number)
    if size >> 4 != 4 or protocol is None or len(packet) < start + 8:
        return None
    source_port, destination_port = _PORTS.unpack_from(packet, start)
    if protocol == "ping":
        source_port = destination_port = _PORTS.unpack_from(packet, start + 4)[0]
    ends = str(IPv4Address(source)), str(IPv4Address(destination))
    return Headers(protocol, ends[0], source_port, ends[1], destination_port)


def read_frame(frame: bytes) -> Headers | None:
    """Read an Ethernet frame, as `read`."""
    return read(frame[_ETHERNET_BYTES:]) if frame[12:14] == b"\x08\x00" else None

"""The ends of a packet, from its IP header on. Pure. Source: RFC 791, 792, 768, 9293."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from twinstack.model.vxlan import VXLAN_BYTES, VXLAN_PORT

_IPV4 = struct.Struct(">BxHxxxxBB2xII")  # version and size, length, TTL, protocol, addresses
_PORTS = struct.Struct(">HH")
_ETHERNET_BYTES = 14
_ECHO_REPLY, _ECHO = 0, 8
PROTOCOLS = {1: "ping", 6: "tcp", 17: "udp"}


@dataclass(frozen=True, slots=True)
class Headers:
    """Who sent a packet to whom."""

    protocol: str
    source: str
    source_port: int  # of an echo request, its identifier
    destination: str
    destination_port: int  # of an echo reply, its identifier

    def __str__(self) -> str:
        if self.protocol == "ping":
            return f"{self.source} > {self.destination}"
        return f"{self.source}:{self.source_port} > {self.destination}:{self.destination_port}"


@dataclass(frozen=True, slots=True)
class Attempted:
    """What tells the packets of one attempt from others, which may have the same number."""

    protocol: str
    number: int  # the client's port, or its pings' identifier
    clients: frozenset[str]  # addresses of the client's namespace: the number is its own there
    translated: frozenset[str]  # addresses that it may have after NAT: others are there too
    ports: frozenset[int]  # the server's, before and after NAT; 0 of a ping

    def owns(self, head: Headers) -> bool:
        """Tell whether a packet is a request of the attempt, or an answer to it."""
        request = head.source, head.source_port, head.destination_port
        answer = head.destination, head.destination_port, head.source_port
        return head.protocol == self.protocol and any(
            number == self.number
            and (client in self.clients or (client in self.translated and port in self.ports))
            for client, number, port in (request, answer)
        )


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
        kind, identifier = packet[start], _PORTS.unpack_from(packet, start + 4)[0]
        if kind not in {_ECHO, _ECHO_REPLY}:
            return None
        source_port, destination_port = (identifier, 0) if kind == _ECHO else (0, identifier)
    ends = str(IPv4Address(source)), str(IPv4Address(destination))
    return Headers(protocol, ends[0], source_port, ends[1], destination_port)


def read_frame(frame: bytes) -> Headers | None:
    """Read an Ethernet frame, as `read`; of one that VXLAN carries, the frame within."""
    head = read(frame[_ETHERNET_BYTES:]) if frame[12:14] == b"\x08\x00" else None
    if head and (head.protocol, head.destination_port) == ("udp", VXLAN_PORT):
        return read_frame(frame[VXLAN_BYTES:]) or head
    return head

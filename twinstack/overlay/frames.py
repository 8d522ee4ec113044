"""One frame on the underlay taken apart: what carries it, and what it carries; pure.

The outer headers say from which host to which, the VXLAN header of which network, the inner ones
from whom to whom. Source: RFC 7348, section 5.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from twinstack.model.vxlan import VXLAN_PORT

_ETHERNET = struct.Struct("!6s6sH")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_VXLAN = struct.Struct("!B3xI")
_HAS_VNI, _IS_IPV4, _IS_ARP, _UDP_NUMBER = 0x08, 0x0800, 0x0806, 17
_DONT_FRAGMENT, _MORE, _OFFSET = 0x4000, 0x2000, 0x1FFF
_PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP"}


@dataclass(frozen=True, slots=True)
class Encapsulated:
    """A frame within a frame. Units: bytes; `size` is the outer frame's, `inner_size` the inner's.

    `whole`: the outer packet may not be cut in pieces, and is none. `protocol` and `inner_*`
    addresses are empty where the inner frame is no IPv4; for ARP they are who asks for whom.
    """

    outer_source: str
    outer_destination: str
    outer_source_mac: str
    outer_destination_mac: str
    udp_source: int
    vni: int
    whole: bool
    size: int
    inner_source_mac: str
    inner_destination_mac: str
    inner_source: str
    inner_destination: str
    protocol: str
    ports: tuple[int, int] | None
    inner_size: int

    @property
    def to_many(self) -> bool:
        """Tell whether the inner frame is a broadcast or multicast."""
        return bool(int(self.inner_destination_mac[:2], 16) & 1)


def decode(frame: bytes, port: int = VXLAN_PORT) -> Encapsulated | None:
    """Take a frame apart; None when it is no VXLAN, or too short to be."""
    try:
        return _decoded(frame, port)
    except struct.error:
        return None


def _decoded(frame: bytes, port: int) -> Encapsulated | None:
    to_mac, from_mac, kind = _ETHERNET.unpack_from(frame)
    if kind != _IS_IPV4:
        return None
    outer = _IPV4.unpack_from(frame, _ETHERNET.size)
    at = _ETHERNET.size + (outer[0] & 0x0F) * 4
    fragment = outer[4]
    if outer[6] != _UDP_NUMBER or fragment & _OFFSET:
        return None
    source_port, destination_port, _, _ = _UDP.unpack_from(frame, at)
    if destination_port != port:
        return None
    flags, word = _VXLAN.unpack_from(frame, at + _UDP.size)
    if not flags & _HAS_VNI:
        return None
    inner = frame[at + _UDP.size + _VXLAN.size :]
    inner_to, inner_from, inner_kind = _ETHERNET.unpack_from(inner)
    source, destination, protocol, ports = _carried(inner, inner_kind)
    return Encapsulated(
        outer_source=str(IPv4Address(outer[8])),
        outer_destination=str(IPv4Address(outer[9])),
        outer_source_mac=from_mac.hex(":"),
        outer_destination_mac=to_mac.hex(":"),
        udp_source=source_port,
        vni=word >> 8,
        whole=bool(fragment & _DONT_FRAGMENT) and not fragment & _MORE,
        size=len(frame),
        inner_source_mac=inner_from.hex(":"),
        inner_destination_mac=inner_to.hex(":"),
        inner_source=source,
        inner_destination=destination,
        protocol=protocol,
        ports=ports,
        inner_size=len(inner),
    )


def _carried(inner: bytes, kind: int) -> tuple[str, str, str, tuple[int, int] | None]:
    if kind == _IS_ARP:
        asks, for_whom = inner[28:32], inner[38:42]
        if len(for_whom) == 4:
            return str(IPv4Address(asks)), str(IPv4Address(for_whom)), "ARP", None
    if kind != _IS_IPV4:
        return "", "", f"type {kind:#06x}", None
    packet = _IPV4.unpack_from(inner, _ETHERNET.size)
    at = _ETHERNET.size + (packet[0] & 0x0F) * 4
    ports = None
    if packet[6] in (6, _UDP_NUMBER) and not packet[4] & _OFFSET:
        ports = struct.unpack_from("!HH", inner, at)
    protocol = _PROTOCOLS.get(packet[6], f"protocol {packet[6]}")
    return str(IPv4Address(packet[8])), str(IPv4Address(packet[9])), protocol, ports


def layers(one: Encapsulated) -> str:
    """Write a frame from the outside in, a header a line."""
    inner_ports = f" {one.ports[0]} → {one.ports[1]}" if one.ports else ""
    inner = f"{one.inner_source} → {one.inner_destination}" if one.inner_source else ""
    return "\n".join(
        line.rstrip()
        for line in (
            (
                f"outer Ethernet  {one.outer_source_mac} → {one.outer_destination_mac}"
                f"  {one.size} bytes"
            ),
            (
                f"outer IPv4      {one.outer_source} → {one.outer_destination}"
                f"  {'DF' if one.whole else 'may be cut'}"
            ),
            f"outer UDP       {one.udp_source} → {VXLAN_PORT}",
            f"VXLAN           VNI {one.vni}",
            (
                f"inner Ethernet  {one.inner_source_mac} → {one.inner_destination_mac}"
                f"  {one.inner_size} bytes"
            ),
            f"inner {one.protocol:<9} {inner}{inner_ports}",
        )
    )

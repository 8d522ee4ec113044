"""Decode a frame on the underlay: the outer headers, VXLAN, the inner frame; pure.

Source: RFC 7348, section 5.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from socket import IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP

from twinstack.model.vxlan import VXLAN_PORT

_ETHERNET = struct.Struct("!6s6sH")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_VXLAN = struct.Struct("!B3xI")
_VXLAN_I = 0x08  # the VNI is valid
_ETH_P_IP, _ETH_P_ARP = 0x0800, 0x0806
_IP_DF, _IP_MF, _IP_OFFMASK = 0x4000, 0x2000, 0x1FFF
_PROTOCOLS = {IPPROTO_ICMP: "ICMP", IPPROTO_TCP: "TCP", IPPROTO_UDP: "UDP"}


@dataclass(frozen=True, slots=True)
class Encapsulated:
    """A VXLAN frame. Units: bytes."""

    outer_source: str
    outer_destination: str
    outer_source_mac: str
    outer_destination_mac: str
    udp_source: int
    vni: int
    whole: bool  # DF is set, and it is no fragment
    size: int  # of the outer frame
    inner_source_mac: str
    inner_destination_mac: str
    inner_source: str  # "" unless IPv4 or ARP
    inner_destination: str  # ARP: the address asked for
    protocol: str
    ports: tuple[int, int] | None
    inner_size: int

    @property
    def to_many(self) -> bool:
        """Say whether the inner frame is a broadcast or multicast."""
        return bool(int(self.inner_destination_mac[:2], 16) & 1)


def decode(frame: bytes) -> Encapsulated | None:
    """Decode a frame; None when it is no VXLAN, or cut short."""
    try:
        return _decode(frame)
    except struct.error:
        return None


def _decode(frame: bytes) -> Encapsulated | None:
    to_mac, from_mac, ethertype = _ETHERNET.unpack_from(frame)
    if ethertype != _ETH_P_IP:
        return None
    outer = _IPV4.unpack_from(frame, _ETHERNET.size)
    udp = _ETHERNET.size + (outer[0] & 0x0F) * 4
    fragment = outer[4]
    if outer[6] != IPPROTO_UDP or fragment & _IP_OFFMASK:
        return None
    source_port, destination_port, _, _ = _UDP.unpack_from(frame, udp)
    if destination_port != VXLAN_PORT:
        return None
    flags, word = _VXLAN.unpack_from(frame, udp + _UDP.size)
    if not flags & _VXLAN_I:
        return None
    inner = frame[udp + _UDP.size + _VXLAN.size :]
    inner_to, inner_from, inner_ethertype = _ETHERNET.unpack_from(inner)
    source, destination, protocol, ports = _inner(inner, inner_ethertype)
    return Encapsulated(
        outer_source=str(IPv4Address(outer[8])),
        outer_destination=str(IPv4Address(outer[9])),
        outer_source_mac=from_mac.hex(":"),
        outer_destination_mac=to_mac.hex(":"),
        udp_source=source_port,
        vni=word >> 8,
        whole=bool(fragment & _IP_DF) and not fragment & _IP_MF,
        size=len(frame),
        inner_source_mac=inner_from.hex(":"),
        inner_destination_mac=inner_to.hex(":"),
        inner_source=source,
        inner_destination=destination,
        protocol=protocol,
        ports=ports,
        inner_size=len(inner),
    )


def _inner(frame: bytes, ethertype: int) -> tuple[str, str, str, tuple[int, int] | None]:
    """Give source, destination, protocol and ports."""
    if ethertype == _ETH_P_ARP and len(frame) >= 42:
        return str(IPv4Address(frame[28:32])), str(IPv4Address(frame[38:42])), "ARP", None
    if ethertype != _ETH_P_IP:
        return "", "", f"type {ethertype:#06x}", None
    packet = _IPV4.unpack_from(frame, _ETHERNET.size)
    ports = None
    if packet[6] in {IPPROTO_TCP, IPPROTO_UDP} and not packet[4] & _IP_OFFMASK:
        ports = struct.unpack_from("!HH", frame, _ETHERNET.size + (packet[0] & 0x0F) * 4)
    protocol = _PROTOCOLS.get(packet[6], f"protocol {packet[6]}")
    return str(IPv4Address(packet[8])), str(IPv4Address(packet[9])), protocol, ports


def layers(frame: Encapsulated) -> str:
    """Write a frame from the outside in, a header a line."""
    inner = f"{frame.inner_source} → {frame.inner_destination}" if frame.inner_source else ""
    ports = f" {frame.ports[0]} → {frame.ports[1]}" if frame.ports else ""
    macs = f"{frame.outer_source_mac} → {frame.outer_destination_mac}"
    inner_macs = f"{frame.inner_source_mac} → {frame.inner_destination_mac}"
    addresses = f"{frame.outer_source} → {frame.outer_destination}"
    return "\n".join(
        (
            f"outer Ethernet  {macs}  {frame.size} bytes",
            f"outer IPv4      {addresses}  {'DF' if frame.whole else 'may be fragmented'}",
            f"outer UDP       {frame.udp_source} → {VXLAN_PORT}",
            f"VXLAN           VNI {frame.vni}",
            f"inner Ethernet  {inner_macs}  {frame.inner_size} bytes",
            f"inner {frame.protocol:<9} {inner}{ports}".rstrip(),
        )
    )

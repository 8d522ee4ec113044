"""A VXLAN frame, built by hand."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

HERE, THERE = IPv4Address("10.88.0.11"), IPv4Address("10.88.0.12")
MAC = "02:54:0a:00:00:1e"


def vxlan_frame(
    to: str = MAC, outer: IPv4Address = THERE, vni: int = 7300, flags: int = 0x4000
) -> bytes:
    """Build a TCP SYN from 10.0.0.31 to 10.0.0.30, sent by HERE; `flags` are the outer packet's."""
    inner = bytes.fromhex(to.replace(":", "")) + b"\2\x54\x0a\0\0\x1f" + b"\x08\0"
    ends = IPv4Address("10.0.0.31").packed, IPv4Address("10.0.0.30").packed
    inner += struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, *ends)
    inner += struct.pack("!HHIIBBHHH", 40000, 5000, 0, 0, 0x50, 2, 0, 0, 0)
    udp = struct.pack("!HHHHBxxxI", 50000, 4789, 16 + len(inner), 0, 8, vni << 8)
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 36 + len(inner), 1, flags, 64, 17, 0, HERE.packed, outer.packed
    )
    return bytes(12) + b"\x08\0" + head + udp + inner

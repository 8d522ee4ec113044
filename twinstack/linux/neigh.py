"""FDB entries and neighbours: packed requests and the kernel's answers; pure.

One kind of message serves both. In the family AF_BRIDGE it is a forwarding entry: with NTF_SELF of
the VXLAN itself (MAC → VTEP), with NTF_MASTER of the bridge above it (MAC → port). In AF_INET it is
a neighbour (address → MAC). Ours are NUD_PERMANENT or, on a bridge, NUD_NOARP: static.
Source: rtnetlink(7), neighbour.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from socket import AF_INET
from typing import Literal

from twinstack.linux.netlink import NLM, Request, address, as_u32, attribute, attributes
from twinstack.linux.rtnetlink import RTM


class NDA(IntEnum):
    """Attributes: NDA_*. Source: neighbour.h."""

    DST = 1
    LLADDR = 2
    MASTER = 9


class NTF(IntEnum):
    """Flags: NTF_*. Source: neighbour.h."""

    SELF = 0x02
    MASTER = 0x04


class NUD(IntEnum):
    """States: NUD_*. Source: neighbour.h."""

    NOARP = 0x40
    PERMANENT = 0x80


_AF_BRIDGE = 7
_NDMSG = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
_REPLACE, _APPEND = NLM.CREATE | NLM.REPLACE, NLM.CREATE | NLM.APPEND

#: Bodies of dumps: every forwarding entry; every IPv4 neighbour.
EVERY_FDB_ENTRY = _NDMSG.pack(_AF_BRIDGE, 0, 0, 0, 0)
EVERY_NEIGHBOUR = _NDMSG.pack(AF_INET, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class NeighbourEntry:
    """One static entry."""

    index: int  # of the link that it is of
    table: Literal["vxlan", "bridge", "neighbour"]
    mac: str
    to: str  # the VTEP, or the neighbour's address; "" in a bridge's table


def put_vtep(index: int, mac: str, vtep: str, *, append: bool) -> Request:
    """Same as: bridge fdb replace|append MAC dev X dst VTEP self permanent."""
    return Request(RTM.NEWNEIGH, _APPEND if append else _REPLACE, _vtep(index, mac, vtep))


def delete_vtep(index: int, mac: str, vtep: str) -> Request:
    """Same as: bridge fdb delete MAC dev X dst VTEP self."""
    return Request(RTM.DELNEIGH, 0, _vtep(index, mac, vtep))


def put_port(index: int, mac: str) -> Request:
    """Same as: bridge fdb replace MAC dev X master static."""
    return Request(RTM.NEWNEIGH, _REPLACE, _port(index, mac))


def delete_port(index: int, mac: str) -> Request:
    """Same as: bridge fdb delete MAC dev X master."""
    return Request(RTM.DELNEIGH, 0, _port(index, mac))


def put_neighbour(index: int, to: str, mac: str) -> Request:
    """Same as: ip neighbour replace ADDRESS lladdr MAC dev X nud permanent."""
    return Request(RTM.NEWNEIGH, _REPLACE, _neighbour(index, to) + _mac(mac))


def delete_neighbour(index: int, to: str) -> Request:
    """Same as: ip neighbour delete ADDRESS dev X."""
    return Request(RTM.DELNEIGH, 0, _neighbour(index, to))


def read_entry(body: memoryview) -> NeighbourEntry | None:
    """Read one answer; None for an entry that was learned, or is the kernel's own."""
    family, index, state, flags, _ = _NDMSG.unpack_from(body)
    parts = attributes(body[_NDMSG.size :])
    if NDA.LLADDR not in parts:
        return None
    mac = bytes(parts[NDA.LLADDR]).hex(":")
    raw = bytes(parts.get(NDA.DST, b""))
    to = str(IPv4Address(raw)) if len(raw) == 4 else ""
    if family == AF_INET:
        static = bool(state & NUD.PERMANENT and to)
        return NeighbourEntry(index, "neighbour", mac, to) if static else None
    if flags & NTF.SELF:
        return NeighbourEntry(index, "vxlan", mac, to) if to else None
    static = bool(state & NUD.NOARP and as_u32(parts.get(NDA.MASTER)))
    return NeighbourEntry(index, "bridge", mac, "") if static else None


def _mac(mac: str) -> bytes:
    return attribute(NDA.LLADDR, bytes.fromhex(mac.replace(":", "")))


def _vtep(index: int, mac: str, vtep: str) -> bytes:
    header = _NDMSG.pack(_AF_BRIDGE, index, NUD.PERMANENT, NTF.SELF, 0)
    return header + address(NDA.DST, IPv4Address(vtep)) + _mac(mac)


def _port(index: int, mac: str) -> bytes:
    return _NDMSG.pack(_AF_BRIDGE, index, NUD.NOARP, NTF.MASTER, 0) + _mac(mac)


def _neighbour(index: int, to: str) -> bytes:
    header = _NDMSG.pack(AF_INET, index, NUD.PERMANENT, 0, 0)
    return header + address(NDA.DST, IPv4Address(to))

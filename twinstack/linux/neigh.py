"""FDB entries and neighbours: packed requests and the kernel's answers; pure.

One kind of message serves both. In the family AF_BRIDGE it is a forwarding entry: with NTF_SELF of
the VXLAN itself (MAC → VTEP), with NTF_MASTER of the bridge above it (MAC → port). In AF_INET it is
a neighbour (address → MAC). Ours are NUD_PERMANENT or, on a bridge, NUD_NOARP: static.
Source: rtnetlink(7), neighbour.h.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
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

    INCOMPLETE = 0x01
    REACHABLE = 0x02
    STALE = 0x04
    DELAY = 0x08
    PROBE = 0x10
    FAILED = 0x20
    NOARP = 0x40
    PERMANENT = 0x80


_AF_BRIDGE = 7
_NDMSG = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type

#: Bodies of dumps: every forwarding entry; every IPv4 neighbour.
EVERY_FDB_ENTRY = _NDMSG.pack(_AF_BRIDGE, 0, 0, 0, 0)
EVERY_NEIGHBOUR = _NDMSG.pack(AF_INET, 0, 0, 0, 0)


#: The MAC of default FDB entries: each of their hosts receives a copy of a broadcast.
ALL_ZEROS_MAC = "00:00:00:00:00:00"
Table = Literal["vxlan", "bridge", "neighbour"]
#: Family, state and flags of a table's static entries.
_KINDS: Mapping[Table, tuple[int, int, int]] = {
    "vxlan": (_AF_BRIDGE, NUD.PERMANENT, NTF.SELF),
    "bridge": (_AF_BRIDGE, NUD.NOARP, NTF.MASTER),
    "neighbour": (AF_INET, NUD.PERMANENT, 0),
}


@dataclass(frozen=True, slots=True, order=True)
class NeighbourEntry:
    """One static entry."""

    link: str  # that it is of
    table: Table
    mac: str
    to: str = ""  # the VTEP, or the neighbour's address; "" in a bridge's table


def put(index: int, entry: NeighbourEntry) -> Request:
    """Put an entry into the table of a link, by the link's index.

    Same as: bridge fdb replace MAC dev X dst VTEP self permanent (append, for ALL_ZEROS_MAC);
    bridge fdb replace MAC dev X master static; ip neighbour replace TO lladdr MAC dev X nud
    permanent.
    """
    flags = NLM.APPEND if entry.mac == ALL_ZEROS_MAC else NLM.REPLACE
    return Request(RTM.NEWNEIGH, NLM.CREATE | flags, _body(index, entry))


def delete(index: int, entry: NeighbourEntry) -> Request:
    """Delete an entry. Same as: bridge fdb delete …; ip neighbour delete …."""
    return Request(RTM.DELNEIGH, 0, _body(index, entry))


def _body(index: int, entry: NeighbourEntry) -> bytes:
    family, state, flags = _KINDS[entry.table]
    to = address(NDA.DST, IPv4Address(entry.to)) if entry.to else b""
    mac = attribute(NDA.LLADDR, bytes.fromhex(entry.mac.replace(":", "")))
    return _NDMSG.pack(family, index, state, flags, 0) + to + mac


def read_entry(body: memoryview, names: Mapping[int, str]) -> NeighbourEntry | None:
    """Read one answer; None for an entry that was learned, or is the kernel's own.

    `names` are those of every link's index.
    """
    family, index, state, flags, _ = _NDMSG.unpack_from(body)
    parts = attributes(body[_NDMSG.size :])
    if NDA.LLADDR not in parts:
        return None
    raw = bytes(parts.get(NDA.DST, b""))
    to = str(IPv4Address(raw)) if len(raw) == 4 else ""
    table: Table
    if family == AF_INET:
        table, static = "neighbour", state & NUD.PERMANENT and to
    elif flags & NTF.SELF:
        table, static = "vxlan", to
    else:
        table, static, to = "bridge", state & NUD.NOARP and as_u32(parts.get(NDA.MASTER)), ""
    mac = bytes(parts[NDA.LLADDR]).hex(":")
    return NeighbourEntry(names.get(index, ""), table, mac, to) if static else None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entry of the neighbour table, static or learned."""

    address: str
    link: str
    mac: str  # "" while it is not known
    state: str  # as ip(8) calls it: REACHABLE, FAILED, PERMANENT, …


def read_neighbour(body: memoryview, names: Mapping[int, str]) -> Neighbour | None:
    """Read an IPv4 neighbour; None for another family. `names` are those of every link's index."""
    family, index, state, _, _ = _NDMSG.unpack_from(body)
    parts = attributes(body[_NDMSG.size :])
    if family != AF_INET or len(parts.get(NDA.DST, b"")) != 4:
        return None
    mac = bytes(parts.get(NDA.LLADDR, b"")).hex(":")
    words = [each.name for each in NUD if state & each]
    shown = words[0] if words else "NONE"
    return Neighbour(str(IPv4Address(bytes(parts[NDA.DST]))), names.get(index, ""), mac, shown)

"""Forwarding and neighbour entries as netlink has them: packed requests and answers; pure.

One message kind serves both: of the family bridge it is a forwarding entry, of the tunnel itself
or of the bridge above it; of the family IPv4 a neighbour. Source: rtnetlink(7), neighbour.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from twinstack.linux.netlink import (
    CREATE,
    REPLACE,
    Request,
    address,
    as_number,
    attribute,
    attributes,
)

NEW_ENTRY, DELETE_ENTRY, GET_ENTRY = 28, 29, 30
_APPEND = 0x800
_ENTRY = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
_AF_INET, _AF_BRIDGE = 2, 7
_DESTINATION, _MAC, _MASTER = 1, 2, 9
_OF_LINK, _OF_BRIDGE = 2, 4
_STATIC, _PERMANENT = 0x40, 0x80

EVERY_FORWARDING = _ENTRY.pack(_AF_BRIDGE, 0, 0, 0, 0)
EVERY_NEIGHBOUR = _ENTRY.pack(_AF_INET, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """One fixed entry. `where`: tunnel, port (of the bridge above), neighbour. `to`: an address."""

    index: int
    where: str
    mac: str
    to: str


def put_remote(index: int, mac: str, host: str, *, beside: bool) -> Request:
    """Same as: bridge fdb replace MAC dev X dst HOST self permanent; append where `beside`."""
    flags = CREATE | (_APPEND if beside else REPLACE)
    return Request(NEW_ENTRY, flags, _remote(index, mac, host))


def delete_remote(index: int, mac: str, host: str) -> Request:
    """Same as: bridge fdb delete MAC dev X dst HOST self."""
    return Request(DELETE_ENTRY, 0, _remote(index, mac, host))


def put_port(index: int, mac: str) -> Request:
    """Same as: bridge fdb replace MAC dev X master static."""
    return Request(NEW_ENTRY, CREATE | REPLACE, _port(index, mac))


def delete_port(index: int, mac: str) -> Request:
    """Same as: bridge fdb delete MAC dev X master."""
    return Request(DELETE_ENTRY, 0, _port(index, mac))


def put_neighbour(index: int, to: str, mac: str) -> Request:
    """Same as: ip neighbour replace ADDRESS lladdr MAC dev X nud permanent."""
    return Request(NEW_ENTRY, CREATE | REPLACE, _neighbour(index, to) + attribute(_MAC, _raw(mac)))


def delete_neighbour(index: int, to: str) -> Request:
    """Same as: ip neighbour delete ADDRESS dev X."""
    return Request(DELETE_ENTRY, 0, _neighbour(index, to))


def read_entry(body: memoryview) -> Entry | None:
    """Read one answer; None for what was learned, or is the kernel's own."""
    family, index, state, flags, _ = _ENTRY.unpack_from(body)
    told = attributes(body[_ENTRY.size :])
    if _MAC not in told:
        return None
    mac = bytes(told[_MAC]).hex(":")
    to = bytes(told[_DESTINATION]) if _DESTINATION in told else b""
    if family == _AF_INET:
        fixed = state & _PERMANENT and len(to) == 4
        return Entry(index, "neighbour", mac, str(IPv4Address(to))) if fixed else None
    if flags & _OF_LINK:
        return Entry(index, "tunnel", mac, str(IPv4Address(to))) if len(to) == 4 else None
    fixed = state & _STATIC and as_number(told.get(_MASTER))
    return Entry(index, "port", mac, "") if fixed else None


def _raw(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _remote(index: int, mac: str, host: str) -> bytes:
    header = _ENTRY.pack(_AF_BRIDGE, index, _PERMANENT, _OF_LINK, 0)
    return header + address(_DESTINATION, IPv4Address(host)) + attribute(_MAC, _raw(mac))


def _port(index: int, mac: str) -> bytes:
    return _ENTRY.pack(_AF_BRIDGE, index, _STATIC, _OF_BRIDGE, 0) + attribute(_MAC, _raw(mac))


def _neighbour(index: int, to: str) -> bytes:
    header = _ENTRY.pack(_AF_INET, index, _PERMANENT, 0, 0)
    return header + address(_DESTINATION, IPv4Address(to))

"""What the kernel tells of a world's network, as plain data; readers of its messages, pure.

Source: rtnetlink(7), if_link.h, iptables-save(8).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from twinstack.linux.iptables import Tables
from twinstack.linux.netlink import as_number, as_text, attributes, number

GET_LINK, GET_ADDRESS, GET_ROUTE = 18, 22, 26
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")
_AF_INET = 2
_WITHOUT_STATISTICS = 8
_NAME, _MTU, _PEER, _MASTER, _INFO, _ALIAS, _EXT_MASK = 3, 4, 5, 10, 18, 20, 29
_KIND, _DATA, _BRIDGE_IPTABLES = 1, 2, 36
_UP = 1
_LOCAL, _PLAIN_ADDRESS = 2, 1
_GATEWAY = 5
#: Bodies of dumps: every link without its counters; every IPv4 address; every IPv4 route.
EVERY_LINK = _LINK.pack(0, 0, 0, 0, 0) + number(_EXT_MASK, _WITHOUT_STATISTICS)
EVERY_ADDRESS = _ADDRESS.pack(_AF_INET, 0, 0, 0, 0)
EVERY_ROUTE = _ROUTE.pack(_AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Interface:
    """One link. `peer` is the index of a veth's other end; `master` that of its bridge.

    `filtered`: a bridge whose frames pass iptables.
    """

    name: str
    index: int
    kind: str
    peer: int | None
    master: int | None
    up: bool
    mtu: int
    alias: str
    addresses: tuple[str, ...]
    filtered: bool = False


@dataclass(frozen=True, slots=True)
class Inside:
    """A network namespace: its links and its default gateways."""

    interfaces: tuple[Interface, ...]
    gateways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """A world's network. `host` is the namespace of its bridges, `places` those of replicas."""

    host: Inside
    places: Mapping[str, Inside]
    rules: Tables


def read_interfaces(
    links: Iterable[memoryview], addresses: Iterable[memoryview]
) -> tuple[Interface, ...]:
    """Read the dumps of a namespace's links and addresses."""
    on: dict[int, list[str]] = {}
    for body in addresses:
        index, written = _address(body)
        on.setdefault(index, []).append(written)
    return tuple(_interface(body, on) for body in links)


def _interface(body: memoryview, on: Mapping[int, list[str]]) -> Interface:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    told = attributes(body[_LINK.size :])
    info = attributes(told[_INFO]) if _INFO in told else {}
    kind = as_text(info.get(_KIND)) or ""
    bridge = attributes(info[_DATA]) if kind == "bridge" and _DATA in info else {}
    return Interface(
        name=as_text(told.get(_NAME)) or "",
        index=index,
        kind=kind,
        peer=as_number(told.get(_PEER)),
        master=as_number(told.get(_MASTER)),
        up=bool(flags & _UP),
        mtu=as_number(told.get(_MTU)) or 0,
        alias=as_text(told.get(_ALIAS)) or "",
        addresses=tuple(sorted(on.get(index, ()))),
        filtered=bool(_BRIDGE_IPTABLES in bridge and bridge[_BRIDGE_IPTABLES][0]),
    )


def _address(body: memoryview) -> tuple[int, str]:
    _, length, _, _, index = _ADDRESS.unpack_from(body)
    told = attributes(body[_ADDRESS.size :])
    raw = told.get(_LOCAL, told.get(_PLAIN_ADDRESS))
    return index, f"{IPv4Address(bytes(raw)) if raw is not None else '?'}/{length}"


def read_gateways(routes: Iterable[memoryview]) -> tuple[str, ...]:
    """Read a dump of routes: the gateways of the default ones."""
    found = []
    for body in routes:
        _, length, *_ = _ROUTE.unpack_from(body)
        told = attributes(body[_ROUTE.size :])
        if length == 0 and _GATEWAY in told:
            found.append(str(IPv4Address(bytes(told[_GATEWAY]))))
    return tuple(found)

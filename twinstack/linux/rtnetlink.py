"""What is asked of the kernel about links, addresses and routes: packed requests; pure.

Each function gives requests for `netlink.Netlink.send`, in the order in which they must be
done. An interface is named by its name where the kernel takes one, so that no look-up is needed.
Source: rtnetlink(7), if_link.h, if_addr.h.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType

from twinstack.linux.links import LinkFacts, LinkIdentity, TunnelFacts
from twinstack.linux.netlink import (
    CREATE,
    EXCLUSIVE,
    REPLACE,
    Request,
    address,
    as_number,
    as_text,
    attribute,
    attributes,
    byte,
    number,
    text,
)

NEW_LINK, DELETE_LINK, GET_LINK, SET_LINK = 16, 17, 18, 19
NEW_ADDRESS, DELETE_ADDRESS, GET_ADDRESS = 20, 21, 22
NEW_ROUTE, GET_ROUTE = 24, 26

_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")

_AF_INET, _AF_INET6 = 2, 10
_UP = 1
_MAC, _NAME, _MTU, _MASTER, _INFO, _ALIAS, _FAMILIES = 1, 3, 4, 10, 18, 20, 26
_GROUP, _NAMESPACE_FD, _EXT_MASK, _TX_QUEUES, _RX_QUEUES = 27, 28, 29, 31, 32
_KIND, _DATA, _PORT_KIND, _PORT_DATA = 1, 2, 4, 5
_BRIDGE_STP, _BRIDGE_SNOOPING = 5, 23
_BRIDGE_IPTABLES = 36
_PORT_HAIRPIN = 4
_PORT_LEARNING, _PORT_UNKNOWN, _PORT_MULTICAST, _PORT_ANSWERS = 8, 9, 27, 32
_VXLAN_ID, _VXLAN_LOCAL, _VXLAN_LEARNING, _VXLAN_PORT, _VXLAN_DF = 1, 4, 7, 15, 29
_PEER = 1
_ADDRESS_MODE, _MODE_NONE = 8, 1
_LOCAL, _PLAIN_ADDRESS = 2, 1
_DESTINATION, _OUTGOING, _GATEWAY, _TABLE = 1, 4, 5, 15
_SOURCE, _ON_LINK = 7, 253
_MAIN_TABLE, _STATIC, _UNICAST = 254, 4, 1
_WITHOUT_STATISTICS = 8
#: Links of less have nothing of IPv6. Source: RFC 8200, section 5.
LEAST_IPV6_MTU = 1280


def new_bridge(name: str, mtu: int, group: int, mac: str = "") -> Request:
    """Same as: ip link add NAME mtu M group G type bridge stp_state 0 mcast_snooping 0."""
    data = number(_BRIDGE_STP, 0) + byte(_BRIDGE_SNOOPING, 0)
    info = text(_KIND, "bridge") + attribute(_DATA, data)
    body = _link() + text(_NAME, name) + number(_MTU, mtu) + number(_GROUP, group) + _mac(mac)
    return Request(NEW_LINK, CREATE | EXCLUSIVE, body + attribute(_INFO, info))


def new_tunnel(name: str, vni: int, local: IPv4Address, port: int, mtu: int, group: int) -> Request:
    """Same as: ip link add NAME … type vxlan id VNI local A dstport P nolearning df set."""
    data = number(_VXLAN_ID, vni) + address(_VXLAN_LOCAL, local) + byte(_VXLAN_LEARNING, 0)
    data += attribute(_VXLAN_PORT, port.to_bytes(2, "big")) + byte(_VXLAN_DF, 1)
    info = text(_KIND, "vxlan") + attribute(_DATA, data)
    body = _link() + text(_NAME, name) + number(_MTU, mtu) + number(_GROUP, group)
    return Request(NEW_LINK, CREATE | EXCLUSIVE, body + attribute(_INFO, info))


def quiet_port(name: str) -> Request:
    """Same as: bridge link set dev X learning off flood off mcast_flood off neigh_suppress on."""
    off = b"".join(byte(one, 0) for one in (_PORT_LEARNING, _PORT_UNKNOWN, _PORT_MULTICAST))
    port = text(_PORT_KIND, "bridge") + attribute(_PORT_DATA, off + byte(_PORT_ANSWERS, 1))
    return Request(NEW_LINK, 0, _link() + text(_NAME, name) + attribute(_INFO, port))


def filter_bridge(name: str, on: bool) -> Request:
    """Same as: ip link set dev NAME type bridge nf_call_iptables 1|0."""
    data = byte(_BRIDGE_IPTABLES, int(on))
    info = text(_KIND, "bridge") + attribute(_DATA, data)
    return Request(NEW_LINK, 0, _link() + text(_NAME, name) + attribute(_INFO, info))


def new_pair(
    name: str, peer: str, namespace_fd: int, mtu: int, group: int, mac: str = ""
) -> Request:
    """Make a veth pair whose other end is born inside a namespace.

    Same as: ip link add NAME … type veth peer name PEER netns N. One queue a side: the
    kernel would make one for each processor.
    """
    queues = number(_TX_QUEUES, 1) + number(_RX_QUEUES, 1)
    far = _link() + text(_NAME, peer) + number(_MTU, mtu) + queues
    far += number(_NAMESPACE_FD, namespace_fd) + _mac(mac)
    info = text(_KIND, "veth") + attribute(_DATA, attribute(_PEER, far))
    body = _link() + text(_NAME, name) + number(_MTU, mtu) + number(_GROUP, group) + queues
    return Request(NEW_LINK, CREATE | EXCLUSIVE, body + attribute(_INFO, info))


def set_up(
    name: str,
    *,
    mtu: int | None = None,
    now: int = LEAST_IPV6_MTU,
    alias: str | None = None,
    master: int | None = None,
    group: int | None = None,
    mac: str = "",
) -> tuple[Request, ...]:
    """Put a link as it is to be, and up; it takes no IPv6 address by itself.

    Same as: ip link set dev NAME mtu M; ip link set dev NAME addrgenmode none; ip link set dev
    NAME alias A group G master B up. A request for each: in one the link would be up before the
    first half counts, and a link that was narrower than 1,280 has nothing of IPv6 to set. One
    that is so `now` is set down first: up, it would have an address as soon as it is wide.
    """
    wide = [] if mtu is None else [set_mtu(name, mtu)]
    if wide and now < LEAST_IPV6_MTU:
        wide.insert(0, set_down(name))
    mode = attribute(_AF_INET6, byte(_ADDRESS_MODE, _MODE_NONE))
    quiet = Request(SET_LINK, 0, _link() + text(_NAME, name) + attribute(_FAMILIES, mode))
    body = _link(up=True) + text(_NAME, name) + _mac(mac)
    if alias is not None:
        body += attribute(_ALIAS, alias.encode())
    if group is not None:
        body += number(_GROUP, group)
    if master is not None:
        body += number(_MASTER, master)
    return *wide, quiet, Request(SET_LINK, 0, body)


def set_mtu(name: str, mtu: int) -> Request:
    """Same as: ip link set dev NAME mtu M."""
    return Request(SET_LINK, 0, _link() + text(_NAME, name) + number(_MTU, mtu))


def set_down(name: str) -> Request:
    """Same as: ip link set dev NAME down."""
    return Request(SET_LINK, 0, _LINK.pack(0, 0, 0, 0, _UP) + text(_NAME, name))


def mark_loopback(alias: str) -> Request:
    """Same as: ip link set dev lo alias A up."""
    body = _link(index=1, up=True) + attribute(_ALIAS, alias.encode())
    return Request(SET_LINK, 0, body)


def hairpin(name: str, on: bool) -> Request:
    """Same as: ip link set dev NAME type bridge_slave hairpin on|off."""
    port = text(_PORT_KIND, "bridge") + attribute(_PORT_DATA, byte(_PORT_HAIRPIN, int(on)))
    return Request(NEW_LINK, 0, _link() + text(_NAME, name) + attribute(_INFO, port))


def regroup(index: int, group: int) -> Request:
    """Same as: ip link set dev X group G."""
    return Request(SET_LINK, 0, _link(index=index) + number(_GROUP, group))


def delete_link(index: int) -> Request:
    """Same as: ip link delete X. It waits a grace period of the kernel's, 20 ms each."""
    return Request(DELETE_LINK, 0, _link(index=index))


def delete_group(group: int) -> Request:
    """Same as: ip link delete group G. One grace period for however many links."""
    return Request(DELETE_LINK, 0, _link() + number(_GROUP, group))


def put_address(index: int, written: str) -> Request:
    """Same as: ip address replace ADDRESS/LENGTH dev X."""
    return Request(NEW_ADDRESS, CREATE | REPLACE, _address(index, written))


def delete_address(index: int, written: str) -> Request:
    """Same as: ip address delete ADDRESS/LENGTH dev X."""
    return Request(DELETE_ADDRESS, 0, _address(index, written))


def default_route(index: int, gateway: IPv4Address) -> Request:
    """Same as: ip route replace default via GATEWAY dev X."""
    header = _ROUTE.pack(_AF_INET, 0, 0, 0, _MAIN_TABLE, _STATIC, 0, _UNICAST, 0)
    body = header + address(_GATEWAY, gateway) + number(_OUTGOING, index)
    return Request(NEW_ROUTE, CREATE | REPLACE, body)


def source_route(index: int, subnet: IPv4Network, source: IPv4Address) -> Request:
    """Same as: ip route replace SUBNET dev X proto static scope link src SOURCE."""
    header = _ROUTE.pack(
        _AF_INET, subnet.prefixlen, 0, 0, _MAIN_TABLE, _STATIC, _ON_LINK, _UNICAST, 0
    )
    body = header + address(_DESTINATION, subnet.network_address) + number(_OUTGOING, index)
    return Request(NEW_ROUTE, CREATE | REPLACE, body + address(_SOURCE, source))


#: Bodies of dumps: every link, without its counters; every IPv4 address; every IPv4 route.
EVERY_LINK = _LINK.pack(0, 0, 0, 0, 0) + number(_EXT_MASK, _WITHOUT_STATISTICS)
EVERY_ADDRESS = _ADDRESS.pack(_AF_INET, 0, 0, 0, 0)
EVERY_ROUTE = _ROUTE.pack(_AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
LOOPBACK = _LINK.pack(0, 0, 1, 0, 0) + number(_EXT_MASK, _WITHOUT_STATISTICS)


def named(name: str) -> bytes:
    """Give the body of a question about one link."""
    return _link() + text(_NAME, name) + number(_EXT_MASK, _WITHOUT_STATISTICS)


@dataclass(frozen=True, slots=True)
class Told:
    """One answer about a link, taken apart one level deep."""

    index: int
    up: bool
    parts: dict[int, memoryview]

    @property
    def name(self) -> str:
        return as_text(self.parts.get(_NAME)) or ""

    @property
    def alias(self) -> str | None:
        return as_text(self.parts.get(_ALIAS))

    @property
    def group(self) -> int:
        return as_number(self.parts.get(_GROUP)) or 0


def told(body: memoryview) -> Told:
    """Take one answer about a link apart."""
    _, _, index, flags, _ = _LINK.unpack_from(body)
    return Told(index, bool(flags & _UP), attributes(body[_LINK.size :]))


def read_identity(link: Told) -> LinkIdentity:
    """Read of one answer about a link what tells whose it is."""
    info = attributes(link.parts[_INFO]) if _INFO in link.parts else {}
    return LinkIdentity(link.name, link.index, as_text(info.get(_KIND)), link.alias, link.group)


def read_link(
    link: Told,
    names: Mapping[int, str] = MappingProxyType({}),
    addresses: Mapping[int, frozenset[str]] = MappingProxyType({}),
) -> LinkFacts:
    """Read one answer about a link. `names` and `addresses` are those of every index."""
    told = link.parts
    info = attributes(told[_INFO]) if _INFO in told else {}
    port = attributes(info[_PORT_DATA]) if as_text(info.get(_PORT_KIND)) == "bridge" else {}
    kind = as_text(info.get(_KIND))
    bridge = attributes(info[_DATA]) if kind == "bridge" else {}
    families = attributes(told[_FAMILIES]) if _FAMILIES in told else {}
    inet6 = attributes(families[_AF_INET6]) if _AF_INET6 in families else {}
    master = as_number(told.get(_MASTER))
    return LinkFacts(
        name=link.name,
        index=link.index,
        kind=kind,
        alias=link.alias,
        mtu=as_number(told.get(_MTU)) or 0,
        up=link.up,
        master=None if master is None else names.get(master),
        addresses=addresses.get(link.index, frozenset()),
        # A kernel without IPv6 reports no such family: nothing to take by itself.
        autoconfigures_ipv6=_ADDRESS_MODE in inet6 and inet6[_ADDRESS_MODE][0] != _MODE_NONE,
        hairpin=bool(_PORT_HAIRPIN in port and port[_PORT_HAIRPIN][0]),
        group=link.group,
        filtered=bool(_BRIDGE_IPTABLES in bridge and bridge[_BRIDGE_IPTABLES][0]),
        mac=bytes(told[_MAC]).hex(":") if _MAC in told else "",
        tunnel=_tunnel(attributes(info[_DATA])) if kind == "vxlan" else None,
        quiet_port=[
            bool(port[one][0]) if one in port else None
            for one in (_PORT_LEARNING, _PORT_UNKNOWN, _PORT_MULTICAST, _PORT_ANSWERS)
        ]
        == [False, False, False, True],
    )


def _tunnel(data: dict[int, memoryview]) -> TunnelFacts:
    return TunnelFacts(
        vni=as_number(data.get(_VXLAN_ID)) or 0,
        local=str(IPv4Address(bytes(data[_VXLAN_LOCAL]))) if _VXLAN_LOCAL in data else "anywhere",
        port=int.from_bytes(data[_VXLAN_PORT], "big") if _VXLAN_PORT in data else 0,
        df=bool(_VXLAN_DF in data and data[_VXLAN_DF][0] == 1),
        learning=bool(_VXLAN_LEARNING in data and data[_VXLAN_LEARNING][0]),
    )


def read_address(body: memoryview) -> tuple[int, str]:
    """Read one answer about an IPv4 address: the interface's index, ADDRESS/LENGTH."""
    _, length, _, _, index = _ADDRESS.unpack_from(body)
    told = attributes(body[_ADDRESS.size :])
    raw = told.get(_LOCAL, told.get(_PLAIN_ADDRESS))
    return index, f"{IPv4Address(bytes(raw)) if raw is not None else '?'}/{length}"


def read_route(body: memoryview) -> tuple[str, str | None, int] | None:
    """Read one answer about a route of the main table: destination, gateway, interface's index.

    None for other tables. The default route's destination is 0.0.0.0/0.
    """
    _, length, _, _, table, _, _, _, _ = _ROUTE.unpack_from(body)
    told = attributes(body[_ROUTE.size :])
    if (as_number(told.get(_TABLE)) or table) != _MAIN_TABLE:
        return None
    to = bytes(told[_DESTINATION]) if _DESTINATION in told else b"\0\0\0\0"
    gateway = str(IPv4Address(bytes(told[_GATEWAY]))) if _GATEWAY in told else None
    return f"{IPv4Address(to)}/{length}", gateway, as_number(told.get(_OUTGOING)) or 0


def read_source(body: memoryview) -> tuple[tuple[str, int], str] | None:
    """Read which address a route of the main table is asked from, by destination and index."""
    _, length, _, _, table, _, _, _, _ = _ROUTE.unpack_from(body)
    told = attributes(body[_ROUTE.size :])
    if (as_number(told.get(_TABLE)) or table) != _MAIN_TABLE or _SOURCE not in told:
        return None
    to = bytes(told[_DESTINATION]) if _DESTINATION in told else b"\0\0\0\0"
    key = (f"{IPv4Address(to)}/{length}", as_number(told.get(_OUTGOING)) or 0)
    return key, str(IPv4Address(bytes(told[_SOURCE])))


def _mac(written: str) -> bytes:
    return attribute(_MAC, bytes.fromhex(written.replace(":", ""))) if written else b""


def _link(*, index: int = 0, up: bool = False) -> bytes:
    return _LINK.pack(0, 0, index, _UP if up else 0, _UP if up else 0)


def _address(index: int, written: str) -> bytes:
    plain, _, length = written.partition("/")
    value = IPv4Address(plain)
    header = _ADDRESS.pack(_AF_INET, int(length), 0, 0, index)
    return header + address(_LOCAL, value) + address(_PLAIN_ADDRESS, value)

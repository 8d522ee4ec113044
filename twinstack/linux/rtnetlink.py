"""Requests to the kernel about links, addresses and routes, packed for `Netlink.send`; pure.

Each function gives requests in the order in which they must be carried out. An interface is named
by its name where the kernel takes one, so that no look-up is needed. What the kernel reports is
read by `links`. Source: rtnetlink(7), if_link.h, if_addr.h.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network
from socket import AF_INET, AF_INET6

from twinstack.linux.netlink import NLM, Request, address, attribute, text, u8, u32


class RTM(IntEnum):
    """Kinds of messages: RTM_*. Source: rtnetlink.h."""

    NEWLINK = 16
    DELLINK = 17
    GETLINK = 18
    SETLINK = 19
    NEWADDR = 20
    DELADDR = 21
    GETADDR = 22
    NEWROUTE = 24
    GETROUTE = 26
    NEWNEIGH = 28
    DELNEIGH = 29
    GETNEIGH = 30


class IFLA(IntEnum):
    """Attributes of a link: IFLA_*. Source: if_link.h."""

    ADDRESS = 1
    IFNAME = 3
    MTU = 4
    LINK = 5
    QDISC = 6
    MASTER = 10
    TXQLEN = 13
    LINKINFO = 18
    IFALIAS = 20
    AF_SPEC = 26
    GROUP = 27
    NET_NS_FD = 28
    EXT_MASK = 29
    NUM_TX_QUEUES = 31
    NUM_RX_QUEUES = 32
    CARRIER = 33
    GSO_MAX_SEGS = 40
    GSO_MAX_SIZE = 41
    XDP = 43
    GRO_MAX_SIZE = 58


class INFO(IntEnum):
    """What kind of link it is, in IFLA_LINKINFO: IFLA_INFO_*. Source: if_link.h."""

    KIND = 1
    DATA = 2
    SLAVE_KIND = 4
    SLAVE_DATA = 5


class BR(IntEnum):
    """A bridge's IFLA_INFO_DATA: IFLA_BR_*. Source: if_link.h."""

    STP_STATE = 5
    VLAN_FILTERING = 7
    MCAST_SNOOPING = 23
    NF_CALL_IPTABLES = 36
    NF_CALL_IP6TABLES = 37
    NF_CALL_ARPTABLES = 38


class BRPORT(IntEnum):
    """A bridge port's IFLA_INFO_SLAVE_DATA: IFLA_BRPORT_*. Source: if_link.h."""

    STATE = 1
    MODE = 4  # hairpin
    GUARD = 5
    PROTECT = 6
    FAST_LEAVE = 7
    LEARNING = 8
    UNICAST_FLOOD = 9
    MCAST_FLOOD = 27
    MCAST_TO_UCAST = 28
    BCAST_FLOOD = 30
    NEIGH_SUPPRESS = 32
    ISOLATED = 33


class VXLAN(IntEnum):
    """A VXLAN's IFLA_INFO_DATA: IFLA_VXLAN_*. Source: if_link.h."""

    ID = 1
    LOCAL = 4
    LEARNING = 7
    PORT = 15
    DF = 29


class IFA(IntEnum):
    """Attributes of an address: IFA_*. Source: if_addr.h."""

    ADDRESS = 1
    LOCAL = 2


class RTA(IntEnum):
    """Attributes of a route: RTA_*. Source: rtnetlink.h."""

    DST = 1
    OIF = 4
    GATEWAY = 5
    PREFSRC = 7
    TABLE = 15


IFINFOMSG = struct.Struct("=BxHiII")  # family, type, index, flags, change
IFADDRMSG = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
RTMSG = struct.Struct("=BBBBBBBBI")  # family, lengths, tos, table, protocol, scope, type, flags

IFF_UP, IFF_NOARP = 1, 0x80
RT_TABLE_MAIN = 254
IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE = 8, 1
_VETH_INFO_PEER = 1
_VXLAN_DF_SET = 1
_RTPROT_STATIC, _RT_SCOPE_LINK, _RTN_UNICAST = 4, 253, 1
RT_SCOPE_UNIVERSE = 0
_RTEXT_FILTER_SKIP_STATS = 8
_CREATE, _REPLACE = NLM.CREATE | NLM.EXCL, NLM.CREATE | NLM.REPLACE
#: A link with less has nothing of IPv6. Source: RFC 8200, section 5.
IPV6_MIN_MTU = 1280


def new_bridge(name: str, mtu: int, group: int, mac: str = "") -> Request:
    """Same as: ip link add NAME mtu M group G type bridge stp_state 0 mcast_snooping 0."""
    data = u32(BR.STP_STATE, 0) + u8(BR.MCAST_SNOOPING, 0)
    return _new(name, mtu, group, _mac(mac), "bridge", data)


def new_vxlan(name: str, vni: int, local: IPv4Address, port: int, mtu: int, group: int) -> Request:
    """Same as: ip link add NAME … type vxlan id VNI local A dstport P nolearning df set."""
    data = u32(VXLAN.ID, vni) + address(VXLAN.LOCAL, local) + u8(VXLAN.LEARNING, 0)
    data += attribute(VXLAN.PORT, port.to_bytes(2, "big")) + u8(VXLAN.DF, _VXLAN_DF_SET)
    return _new(name, mtu, group, b"", "vxlan", data)


def new_pair(
    name: str, peer: str, namespace_fd: int, mtu: int, group: int, mac: str = ""
) -> Request:
    """Create a veth pair with its other end inside a namespace.

    Same as: ip link add NAME … type veth peer name PEER netns N. One queue on each side: the
    kernel would make one for each processor.
    """
    queues = u32(IFLA.NUM_TX_QUEUES, 1) + u32(IFLA.NUM_RX_QUEUES, 1)
    far = _link(peer) + u32(IFLA.MTU, mtu) + queues
    far += u32(IFLA.NET_NS_FD, namespace_fd) + _mac(mac)
    return _new(name, mtu, group, queues, "veth", attribute(_VETH_INFO_PEER, far))


def _new(name: str, mtu: int, group: int, more: bytes, kind: str, data: bytes) -> Request:
    body = _link(name) + u32(IFLA.MTU, mtu) + u32(IFLA.GROUP, group) + more
    return Request(RTM.NEWLINK, _CREATE, body + _info(INFO.KIND, kind, INFO.DATA, data))


def set_port_static(name: str) -> Request:
    """Keep a bridge port from learning and flooding; the bridge answers ARP (NEIGH_SUPPRESS).

    Same as: bridge link set dev X learning off flood off mcast_flood off neigh_suppress on.
    """
    flood = u8(BRPORT.UNICAST_FLOOD, 0) + u8(BRPORT.MCAST_FLOOD, 0)
    return _port(name, u8(BRPORT.LEARNING, 0) + flood + u8(BRPORT.NEIGH_SUPPRESS, 1))


def set_hairpin(name: str, on: bool) -> Request:
    """Same as: ip link set dev NAME type bridge_slave hairpin on|off."""
    return _port(name, u8(BRPORT.MODE, int(on)))


def _port(name: str, data: bytes) -> Request:
    info = _info(INFO.SLAVE_KIND, "bridge", INFO.SLAVE_DATA, data)
    return Request(RTM.NEWLINK, 0, _link(name) + info)


def filter_bridge(name: str, on: bool) -> Request:
    """Same as: ip link set dev NAME type bridge nf_call_iptables 1|0."""
    info = _info(INFO.KIND, "bridge", INFO.DATA, u8(BR.NF_CALL_IPTABLES, int(on)))
    return Request(RTM.NEWLINK, 0, _link(name) + info)


def set_up(
    name: str,
    *,
    mtu: int | None = None,
    current_mtu: int = IPV6_MIN_MTU,
    alias: str | None = None,
    master: int | None = None,
    group: int | None = None,
    mac: str = "",
) -> tuple[Request, ...]:
    """Configure a link and set it up, without an IPv6 address of its own making.

    Same as: ip link set dev NAME mtu M; ip link set dev NAME addrgenmode none; ip link set dev
    NAME alias A group G master B up. One request each: in a single one the link would be up before
    addrgenmode counts, and a link of less than 1,280 has no such mode to set. A link that is so
    narrow now is set down first: up, it would get an address as soon as it is wide enough.
    """
    widen = [] if mtu is None else [set_mtu(name, mtu)]
    if widen and current_mtu < IPV6_MIN_MTU:
        widen.insert(0, set_down(name))
    mode = attribute(AF_INET6, u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE))
    quiet = Request(RTM.SETLINK, 0, _link(name) + attribute(IFLA.AF_SPEC, mode))
    body = _link(name, up=True) + _mac(mac)
    if alias is not None:
        body += attribute(IFLA.IFALIAS, alias.encode())
    if group is not None:
        body += u32(IFLA.GROUP, group)
    if master is not None:
        body += u32(IFLA.MASTER, master)
    return *widen, quiet, Request(RTM.SETLINK, 0, body)


def set_mtu(name: str, mtu: int) -> Request:
    """Same as: ip link set dev NAME mtu M."""
    return Request(RTM.SETLINK, 0, _link(name) + u32(IFLA.MTU, mtu))


def set_down(name: str) -> Request:
    """Same as: ip link set dev NAME down."""
    return Request(RTM.SETLINK, 0, IFINFOMSG.pack(0, 0, 0, 0, IFF_UP) + text(IFLA.IFNAME, name))


def mark_loopback(alias: str) -> Request:
    """Same as: ip link set dev lo alias A up."""
    return Request(RTM.SETLINK, 0, _at(1, up=True) + attribute(IFLA.IFALIAS, alias.encode()))


def set_group(index: int, group: int) -> Request:
    """Same as: ip link set dev X group G."""
    return Request(RTM.SETLINK, 0, _at(index) + u32(IFLA.GROUP, group))


def delete_link(index: int) -> Request:
    """Same as: ip link delete X. It waits a grace period of the kernel's, 20 ms each."""
    return Request(RTM.DELLINK, 0, _at(index))


def delete_group(group: int) -> Request:
    """Same as: ip link delete group G. One grace period for any number of links."""
    return Request(RTM.DELLINK, 0, _at(0) + u32(IFLA.GROUP, group))


def put_address(index: int, interface: str) -> Request:
    """Same as: ip address replace ADDRESS/LENGTH dev X."""
    return Request(RTM.NEWADDR, _REPLACE, _address(index, interface))


def delete_address(index: int, interface: str) -> Request:
    """Same as: ip address delete ADDRESS/LENGTH dev X."""
    return Request(RTM.DELADDR, 0, _address(index, interface))


def default_route(index: int, gateway: IPv4Address) -> Request:
    """Same as: ip route replace default via GATEWAY dev X proto static."""
    return _route(index, 0, 0, address(RTA.GATEWAY, gateway))


def source_route(index: int, subnet: IPv4Network, source: IPv4Address) -> Request:
    """Same as: ip route replace SUBNET dev X proto static scope link src SOURCE."""
    more = address(RTA.DST, subnet.network_address) + address(RTA.PREFSRC, source)
    return _route(index, subnet.prefixlen, _RT_SCOPE_LINK, more)


def _route(index: int, length: int, scope: int, more: bytes) -> Request:
    header = RTMSG.pack(
        AF_INET, length, 0, 0, RT_TABLE_MAIN, _RTPROT_STATIC, scope, _RTN_UNICAST, 0
    )
    return Request(RTM.NEWROUTE, _REPLACE, header + more + u32(RTA.OIF, index))


_SKIP_STATS = u32(IFLA.EXT_MASK, _RTEXT_FILTER_SKIP_STATS)
#: Bodies of dumps: every link, without its counters; every IPv4 address; every IPv4 route.
EVERY_LINK = IFINFOMSG.pack(0, 0, 0, 0, 0) + _SKIP_STATS
EVERY_ADDRESS = IFADDRMSG.pack(AF_INET, 0, 0, 0, 0)
EVERY_ROUTE = RTMSG.pack(AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
#: The body of a question about lo.
LOOPBACK = IFINFOMSG.pack(0, 0, 1, 0, 0) + _SKIP_STATS


def named(name: str) -> bytes:
    """Give the body of a question about one link."""
    return _link(name) + _SKIP_STATS


def _link(name: str, *, up: bool = False) -> bytes:
    return _at(0, up=up) + text(IFLA.IFNAME, name)


def _at(index: int, *, up: bool = False) -> bytes:
    return IFINFOMSG.pack(0, 0, index, IFF_UP if up else 0, IFF_UP if up else 0)


def _info(kind: INFO, name: str, holder: INFO, data: bytes) -> bytes:
    return attribute(IFLA.LINKINFO, text(kind, name) + attribute(holder, data))


def _mac(mac: str) -> bytes:
    return attribute(IFLA.ADDRESS, bytes.fromhex(mac.replace(":", ""))) if mac else b""


def _address(index: int, interface: str) -> bytes:
    plain, _, length = interface.partition("/")
    value = IPv4Address(plain)
    header = IFADDRMSG.pack(AF_INET, int(length), 0, 0, index)
    return header + address(IFA.LOCAL, value) + address(IFA.ADDRESS, value)

"""Links, addresses and routes as the kernel reports them: plain data, its readers, the dumps.

Source: rtnetlink(7), if_link.h.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import AF_INET, AF_INET6
from types import MappingProxyType

from twinstack.linux import rtnetlink
from twinstack.linux.netlink import (
    Netlink,
    address,
    as_big_endian,
    as_text,
    as_u32,
    attributes,
    nested,
)
from twinstack.linux.rtnetlink import BR, BRPORT, IFA, IFLA, INFO, RTA, RTM, VXLAN


@dataclass(frozen=True, slots=True)
class VxlanFacts:
    """What makes a link a VXLAN."""

    vni: int
    local: str  # the VTEP's own address; "any" where it has none
    port: int
    df: bool  # packets around the frames are not to be fragmented
    learning: bool


@dataclass(frozen=True, slots=True)
class LinkIdentity:
    """Which link it is, and its marks; `down` needs to know no more."""

    name: str
    index: int
    kind: str | None  # bridge, veth, vxlan, …; None for a device of hardware, and lo
    alias: str | None
    group: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts(LinkIdentity):
    """One link."""

    mtu: int
    up: bool
    master: str | None  # the bridge that it is a port of
    addresses: frozenset[str] = frozenset()  # IPv4, as ADDRESS/LENGTH
    autoconfigures_ipv6: bool = True
    hairpin: bool = False  # a port that sends frames back out of where they came from
    filtered: bool = False  # a bridge that hands its frames to iptables, whatever the host's sysctl
    mac: str = ""
    peer: int | None = None  # the index of a veth's other end, in its own namespace
    vxlan: VxlanFacts | None = None
    static_port: bool = False  # a port that neither learns nor floods; its bridge answers ARP
    carrier: bool = True  # the other end is up too
    arp: bool = True
    port_state: str = "forwarding"  # of a bridge's port
    isolated: bool = False  # a port that exchanges nothing with other isolated ports


@dataclass(frozen=True, slots=True)
class LinkMessage:
    """The kernel's message about one link, taken apart one level deep."""

    index: int
    up: bool
    parts: dict[int, memoryview]
    arp: bool = True

    @property
    def name(self) -> str:
        return as_text(self.parts.get(IFLA.IFNAME)) or ""

    @property
    def alias(self) -> str | None:
        return as_text(self.parts.get(IFLA.IFALIAS))

    @property
    def group(self) -> int:
        return as_u32(self.parts.get(IFLA.GROUP)) or 0


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """One IPv4 route of the main table."""

    destination: str  # ADDRESS/LENGTH; 0.0.0.0/0 for the default
    gateway: str | None
    index: int  # of the link that it leaves by
    source: str | None  # the address that this host sends from on it


DEFAULT = "0.0.0.0/0"


def parse_link(body: memoryview) -> LinkMessage:
    """Take a message about a link apart."""
    _, _, index, flags, _ = rtnetlink.IFINFOMSG.unpack_from(body)
    parts = attributes(body[rtnetlink.IFINFOMSG.size :])
    up, arp = bool(flags & rtnetlink.IFF_UP), not flags & rtnetlink.IFF_NOARP
    return LinkMessage(index, up, parts, arp)


def read_identity(link: LinkMessage) -> LinkIdentity:
    """Read which link it is, and no more."""
    kind = as_text(nested(link.parts, IFLA.LINKINFO).get(INFO.KIND))
    return LinkIdentity(link.name, link.index, kind, link.alias, link.group)


def read_link(
    link: LinkMessage,
    names: Mapping[int, str] = MappingProxyType({}),
    addresses: Mapping[int, frozenset[str]] = MappingProxyType({}),
) -> LinkFacts:
    """Read all of a link. `names` and `addresses` are those of every index."""
    parts, info = link.parts, nested(link.parts, IFLA.LINKINFO)
    kind = as_text(info.get(INFO.KIND))
    bridge = nested(info, INFO.DATA) if kind == "bridge" else {}
    is_port = as_text(info.get(INFO.SLAVE_KIND)) == "bridge"
    port = nested(info, INFO.SLAVE_DATA) if is_port else {}
    inet6 = nested(nested(parts, IFLA.AF_SPEC), AF_INET6)
    # A kernel without IPv6 reports no such family, so no mode: there is nothing to configure.
    mode = _flag(inet6, rtnetlink.IFLA_INET6_ADDR_GEN_MODE, rtnetlink.IN6_ADDR_GEN_MODE_NONE)
    master = as_u32(parts.get(IFLA.MASTER))
    return LinkFacts(
        name=link.name,
        index=link.index,
        kind=kind,
        alias=link.alias,
        group=link.group,
        mtu=as_u32(parts.get(IFLA.MTU)) or 0,
        up=link.up,
        master=None if master is None else names.get(master),
        addresses=addresses.get(link.index, frozenset()),
        autoconfigures_ipv6=mode != rtnetlink.IN6_ADDR_GEN_MODE_NONE,
        hairpin=_flag(port, BRPORT.MODE) == 1,
        filtered=_flag(bridge, BR.NF_CALL_IPTABLES) == 1,
        mac=bytes(parts[IFLA.ADDRESS]).hex(":") if IFLA.ADDRESS in parts else "",
        peer=as_u32(parts.get(IFLA.LINK)) if kind == "veth" else None,
        vxlan=_read_vxlan(nested(info, INFO.DATA)) if kind == "vxlan" else None,
        static_port=_flag(port, BRPORT.NEIGH_SUPPRESS) == 1
        and not any(_flag(port, name, 1) for name in _LEARNS_OR_FLOODS),
        carrier=_flag(parts, IFLA.CARRIER, 1) == 1,
        arp=link.arp,
        port_state=_PORT_STATES[_flag(port, BRPORT.STATE, _FORWARDING)],
        isolated=_flag(port, BRPORT.ISOLATED) == 1,
    )


#: Source: if_bridge.h, BR_STATE_*.
_PORT_STATES = ("disabled", "listening", "learning", "forwarding", "blocking")
_FORWARDING = 3


_LEARNS_OR_FLOODS = (BRPORT.LEARNING, BRPORT.UNICAST_FLOOD, BRPORT.MCAST_FLOOD)


def _flag(parts: Mapping[int, memoryview], kind: int, default: int = 0) -> int:
    return parts[kind][0] if kind in parts else default


def _read_vxlan(data: dict[int, memoryview]) -> VxlanFacts:
    local = data.get(VXLAN.LOCAL)
    return VxlanFacts(
        vni=as_u32(data.get(VXLAN.ID)) or 0,
        local="any" if local is None else str(IPv4Address(bytes(local))),
        port=as_big_endian(data.get(VXLAN.PORT)),
        df=_flag(data, VXLAN.DF) == 1,
        learning=_flag(data, VXLAN.LEARNING) != 0,
    )


def read_address(body: memoryview) -> tuple[int, str]:
    """Read a message about an IPv4 address: the link's index, ADDRESS/LENGTH."""
    _, length, _, _, index = rtnetlink.IFADDRMSG.unpack_from(body)
    parts = attributes(body[rtnetlink.IFADDRMSG.size :])
    raw = parts.get(IFA.LOCAL, parts.get(IFA.ADDRESS))
    return index, f"{_ipv4(raw) or '?'}/{length}"


def read_route(body: memoryview) -> RouteFacts | None:
    """Read a message about an IPv4 route; None for one of another table than the main one."""
    _, length, _, _, table, *_ = rtnetlink.RTMSG.unpack_from(body)
    parts = attributes(body[rtnetlink.RTMSG.size :])
    if (as_u32(parts.get(RTA.TABLE)) or table) != rtnetlink.RT_TABLE_MAIN:
        return None
    return RouteFacts(
        destination=f"{_ipv4(parts.get(RTA.DST)) or '0.0.0.0'}/{length}",
        gateway=_ipv4(parts.get(RTA.GATEWAY)),
        index=as_u32(parts.get(RTA.OIF)) or 0,
        source=_ipv4(parts.get(RTA.PREFSRC)),
    )


def _ipv4(raw: memoryview | None) -> str | None:
    return None if raw is None else str(IPv4Address(bytes(raw)))


def dump_messages(netlink: Netlink) -> list[LinkMessage]:
    """Dump the links of the socket's namespace without looking deeper. Raises: OSError."""
    return [parse_link(body) for body in netlink.dump(RTM.GETLINK, rtnetlink.EVERY_LINK)]


def dump_links(netlink: Netlink) -> dict[str, LinkFacts]:
    """Dump the links of the socket's namespace, with their IPv4 addresses. Raises: OSError."""
    addresses: dict[int, set[str]] = {}
    for body in netlink.dump(RTM.GETADDR, rtnetlink.EVERY_ADDRESS):
        index, address = read_address(body)
        addresses.setdefault(index, set()).add(address)
    found = dump_messages(netlink)
    names = {link.index: link.name for link in found}
    by_index = {index: frozenset(of_link) for index, of_link in addresses.items()}
    return {link.name: read_link(link, names, by_index) for link in found}


def links_here() -> dict[str, LinkFacts]:
    """Dump the links of the namespace we are in, as `dump_links`. Raises: OSError."""
    with Netlink() as netlink:
        return dump_links(netlink)


def dump_routes(netlink: Netlink) -> Iterator[RouteFacts]:
    """Dump the main table's IPv4 routes. Raises: OSError."""
    for body in netlink.dump(RTM.GETROUTE, rtnetlink.EVERY_ROUTE):
        if (route := read_route(body)) is not None:
            yield route


def own_addresses() -> tuple[IPv4Address | IPv6Address, ...]:
    """List the addresses of this process's namespace, of either family. Raises: OSError.

    Same as: ip address show scope global.
    """
    addresses = []
    with Netlink() as netlink:
        for body in netlink.dump(RTM.GETADDR, bytes(rtnetlink.IFADDRMSG.size)):
            _, _, _, scope, _ = rtnetlink.IFADDRMSG.unpack_from(body)
            parts = attributes(body[rtnetlink.IFADDRMSG.size :])
            raw = parts.get(IFA.LOCAL, parts.get(IFA.ADDRESS))
            if raw is not None and scope == rtnetlink.RT_SCOPE_UNIVERSE:
                addresses.append(ip_address(bytes(raw)))
    return tuple(addresses)


def loopback_alias(netlink: Netlink) -> str | None:
    """Give the alias of lo, which is a namespace's mark. Raises: OSError."""
    return parse_link(netlink.get(RTM.GETLINK, rtnetlink.LOOPBACK)).alias


def index_of(netlink: Netlink, name: str) -> int:
    """Give a link's index. Raises: Refused (ENODEV), OSError."""
    return parse_link(netlink.get(RTM.GETLINK, rtnetlink.named(name))).index


@dataclass(frozen=True, slots=True)
class ChosenRoute:
    """Where the kernel would send a packet."""

    link: str
    gateway: str | None  # None: the neighbour is the destination itself
    source: str | None


def route_to(netlink: Netlink, destination: IPv4Address, names: Mapping[int, str]) -> ChosenRoute:
    """Ask which way the kernel would take. Same as: ip route get DESTINATION.

    Raises: Refused (ENETUNREACH without a route; EHOSTUNREACH, EACCES, EINVAL for a route of the
    kind unreachable, prohibit, blackhole); OSError.
    """
    asked = rtnetlink.RTMSG.pack(AF_INET, 32, 0, 0, 0, 0, 0, 0, 0)
    body = netlink.get(RTM.GETROUTE, asked + address(RTA.DST, destination))
    parts = attributes(body[rtnetlink.RTMSG.size :])
    return ChosenRoute(
        names.get(as_u32(parts.get(RTA.OIF)) or 0, ""),
        _ipv4(parts.get(RTA.GATEWAY)),
        _ipv4(parts.get(RTA.PREFSRC)),
    )

"""Protocol numbers and header layouts, by the names of kernel and RFCs. Data only.

Plain integers: a member of an IntEnum would widen every numpy column that it is combined with. The
IPPROTO_* numbers are those of `socket`.
"""

from __future__ import annotations

import socket

from twinstack.observe.traffic.columns import layout

# Source: https://www.tcpdump.org/linktypes.html
LINKTYPE_NULL = 0
LINKTYPE_ETHERNET = 1
LINKTYPE_RAW = 101
LINKTYPE_LOOP = 108
LINKTYPE_LINUX_SLL = 113
LINKTYPE_IPV4 = 228
LINKTYPE_IPV6 = 229
LINKTYPE_LINUX_SLL2 = 276
#: Captures by old systems have their DLT_RAW in its place.
LINKTYPES_IP = (12, 14, LINKTYPE_RAW, LINKTYPE_IPV4, LINKTYPE_IPV6)

# Source: if_ether.h.
ETH_P_802_3_MIN = 0x0600  # below it, the field is a length
ETH_P_IP = 0x0800
ETH_P_ARP = 0x0806
ETH_P_8021Q = 0x8100
ETH_P_IPV6 = 0x86DD
ETH_P_8021AD = 0x88A8
ETH_P_LLDP = 0x88CC
ETH_P_QINQ1 = 0x9100
VLAN_TAGS = (ETH_P_8021Q, ETH_P_8021AD, ETH_P_QINQ1)
#: AF_INET and AF_INET6 (Linux, then the BSDs) as LINKTYPE_NULL has them → ethertype.
ADDRESS_FAMILIES = {2: ETH_P_IP, **dict.fromkeys((10, 24, 28, 30), ETH_P_IPV6)}

# Pseudo-protocols, beyond the IPPROTO_* numbers.
ETHERTYPE = 1 << 16  # plus the ethertype: not IP
LLC = 1 << 17  # an IEEE 802.3 frame
UNKNOWN_LINK = 1 << 18  # a link type that is not decoded
MALFORMED = 1 << 19  # its headers are cut off or contradict themselves

# Fragments: the first one has the ports, a later one has none.
FIRST, LATER = 1, 2

#: Hop-by-hop, routing, fragment, AH, destination options; mobility (RFC 6275), HIP (RFC 7401),
#: Shim6 (RFC 5533).
IPV6_EXTENSION_HEADERS = (0, 43, 44, 51, 60, 135, 139, 140)

# TCP's flags. Source: RFC 9293.
FIN = 0x01
SYN = 0x02
RST = 0x04
ACK = 0x10

#: IANA's, and the kernel's default before it was assigned.
VXLAN_PORTS = (4789, 8472)
VXLAN_HAS_VNI = 0x08

U16 = layout(">u2 value")
U32 = layout(">u4 value")
U64 = layout(">u8 value")

# Link headers end in the ethertype, but for SLL2, which begins with it.
ETHERNET_BYTES = 14
SLL_BYTES = 16
SLL2_BYTES = 20
FAMILY_BYTES = 4

#: Source: RFC 791.
IPV4_HEADER = layout(
    "u1 version_ihl, u1 tos, >u2 length, >u2 id, >u2 fragment, u1 ttl, u1 protocol, >u2 checksum,"
    ">u4 source, >u4 destination"
)
#: Source: RFC 8200.
IPV6_HEADER = layout(
    "u1 version, u1 class, >u2 label, >u2 length, u1 next, u1 hops,"
    ">u8 source_high, >u8 source_low, >u8 target_high, >u8 target_low"
)
IPV6_EXTENSION = layout("u1 next, u1 length")
IPV6_FRAGMENT = layout("u1 next, u1 reserved, >u2 fragment, >u4 id")
#: Source: RFC 9293.
TCP_HEADER = layout(
    ">u2 source, >u2 destination, >u4 seq, >u4 ack, u1 offset, u1 flags, >u2 window,"
    ">u2 checksum, >u2 urgent"
)
PORTS = layout(">u2 source, >u2 destination")
UDP_HEADER_BYTES = 8
#: Source: RFC 7348.
VXLAN_HEADER = layout("u1 flags, V3 reserved, >u4 vni")
#: Of Ethernet and IPv4. Source: RFC 826.
ARP_HEADER = layout(
    ">u2 hardware, >u2 type, >u2 sizes, >u2 operation, V6 sender_mac, >u4 sender,"
    "V6 target_mac, >u4 target"
)

_IP_NAMES = ["TCP", "UDP", "ICMP", "ICMPv6", "SCTP", "IGMP", "GRE", "ESP", "AH", "PIM"]
_NAMES: dict[int, str] = {
    **{getattr(socket, f"IPPROTO_{name.upper()}"): name for name in _IP_NAMES},
    112: "VRRP",
    ETHERTYPE + ETH_P_ARP: "ARP",
    ETHERTYPE + ETH_P_LLDP: "LLDP",
    LLC: "802.3",
    UNKNOWN_LINK: "unknown link",
    MALFORMED: "malformed",
}


def protocol_name(protocol: int) -> str:
    """Name a value of `Packets.protocol`, or give its number."""
    if protocol in _NAMES:
        return _NAMES[protocol]
    if protocol >= ETHERTYPE:
        return f"type 0x{protocol - ETHERTYPE:04x}"
    return f"IP protocol {protocol}"

"""Headers as they lie in a packet, and the numbers in them. Data only.

Each is read for a whole batch at once: `captures.gather` copies the header of every packet, and a
field of the result is a column.
"""

from __future__ import annotations

import numpy as np

# What a frame's type field says. Source: IEEE 802 numbers (IANA).
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
VLAN_TAGS = (0x8100, 0x88A8, 0x9100)
#: Below this a type field is a length: an IEEE 802.3 frame (spanning tree).
LEAST_ETHERTYPE = 0x0600

# What an IP packet carries. Source: protocol numbers (IANA).
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, OPTIONS = 0, 43, 44, 51, 60
MOBILITY, HIP, SHIM6 = 135, 139, 140

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

#: IANA's, and the one that Linux took before.
VXLAN_PORTS = (4789, 8472)

# How an interface frames its packets. Source: https://www.tcpdump.org/linktypes.html
LINK_NULL, LINK_ETHERNET, LINK_RAW, LINK_LOOP, LINK_SLL = 0, 1, 101, 108, 113
LINK_IPV4, LINK_IPV6, LINK_SLL2 = 228, 229, 276
#: The raw ones of old captures.
LINK_RAW_OLD = (12, 14)
#: Address families of LINK_NULL, which are the capturing system's own: BSD's differ for IPv6.
FAMILIES = {2: IPV4, 10: IPV6, 24: IPV6, 28: IPV6, 30: IPV6}

SHORT = np.dtype([("value", ">u2")])
WORD = np.dtype([("value", ">u4")])
LONG = np.dtype([("value", ">u8")])

ETHERNET_BYTES, SLL_BYTES, SLL2_BYTES, FAMILY_BYTES = 14, 16, 20, 4

VLAN = np.dtype([("control", ">u2"), ("type", ">u2")])

#: Source: RFC 791.
IPV4_HEADER = np.dtype(
    [
        ("version_ihl", "u1"),
        ("tos", "u1"),
        ("length", ">u2"),
        ("id", ">u2"),
        ("fragment", ">u2"),
        ("ttl", "u1"),
        ("protocol", "u1"),
        ("checksum", ">u2"),
        ("source", ">u4"),
        ("destination", ">u4"),
    ]
)

#: Source: RFC 8200.
IPV6_HEADER = np.dtype(
    [
        ("version", "u1"),
        ("class", "u1"),
        ("label", ">u2"),
        ("length", ">u2"),
        ("next", "u1"),
        ("hops", "u1"),
        ("source_high", ">u8"),
        ("source_low", ">u8"),
        ("destination_high", ">u8"),
        ("destination_low", ">u8"),
    ]
)

IPV6_EXTENSION = np.dtype([("next", "u1"), ("length", "u1")])
IPV6_FRAGMENT = np.dtype([("next", "u1"), ("spare", "u1"), ("fragment", ">u2"), ("id", ">u4")])

#: Source: RFC 9293.
TCP_HEADER = np.dtype(
    [
        ("source", ">u2"),
        ("destination", ">u2"),
        ("seq", ">u4"),
        ("ack", ">u4"),
        ("offset", "u1"),
        ("flags", "u1"),
        ("window", ">u2"),
        ("checksum", ">u2"),
        ("urgent", ">u2"),
    ]
)

PORTS = np.dtype([("source", ">u2"), ("destination", ">u2")])
UDP_HEADER = np.dtype([*PORTS.descr, ("length", ">u2"), ("checksum", ">u2")])

#: Source: RFC 7348.
VXLAN_HEADER = np.dtype([("flags", "u1"), ("spare", "u1", 3), ("vni_spare", ">u4")])
VXLAN_HAS_VNI = 0x08

#: Of Ethernet and IPv4. Source: RFC 826.
ARP_HEADER = np.dtype(
    [
        ("hardware", ">u2"),
        ("type", ">u2"),
        ("sizes", ">u2"),
        ("operation", ">u2"),
        ("sender_mac", "V6"),
        ("sender", ">u4"),
        ("target_mac", "V6"),
        ("target", ">u4"),
    ]
)

"""One host's share of a plan that is spread over several: its VTEP. Pure.

Hosts are joined by an *underlay*. Each segment has a VXLAN link on each host, and one gateway
address with one MAC on all of them (an anycast gateway). Nothing is flooded to learn where a
replica is: each host's FDB holds every replica's MAC and the VTEP that it is behind.
Source: RFC 7348 (VXLAN), bridge(8).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

#: IANA's UDP port for VXLAN.
VXLAN_PORT = 4789
#: The outer Ethernet, IPv4, UDP and VXLAN headers of a frame.
VXLAN_BYTES = 50
UNDERLAY_MTU = 1500
OVERLAY_MTU = UNDERLAY_MTU - VXLAN_BYTES
#: Locally administered, unicast; the address follows in the last four bytes.
_MAC_PREFIX = b"\x02\x54"


@dataclass(frozen=True, slots=True)
class VxlanLink:
    """A segment's VXLAN link, the same on every host."""

    segment: str
    link: str
    vni: int


@dataclass(frozen=True, slots=True)
class FdbEntry:
    """A replica as every host knows it."""

    replica: str
    segment: str
    address: IPv4Address
    mac: str
    host: IPv4Address | None  # the VTEP that it is behind; None: it is on this host


@dataclass(frozen=True, slots=True)
class Vtep:
    """One host's end of every VXLAN, and what it knows of the others."""

    host: str
    address: IPv4Address  # on the underlay
    underlay: IPv4Network
    peers: tuple[IPv4Address, ...]  # the other hosts' VTEPs
    tunnels: tuple[VxlanLink, ...]
    fdb: tuple[FdbEntry, ...]
    port: int = VXLAN_PORT
    uplink: str = "eth0"  # the link to the underlay

    @property
    def here(self) -> frozenset[str]:
        """Name the replicas on this host."""
        return frozenset(entry.replica for entry in self.fdb if entry.host is None)

    def tunnel(self, segment: str) -> VxlanLink:
        """Give a segment's VXLAN link. Raises: StopIteration for a segment without."""
        return next(tunnel for tunnel in self.tunnels if tunnel.segment == segment)

    def mac(self, replica: str) -> str:
        """Give a replica's MAC. Raises: StopIteration for an unknown one."""
        return next(entry.mac for entry in self.fdb if entry.replica == replica)


def mac_of(address: IPv4Address) -> str:
    """Derive a MAC from an address, the same on every host and at every run."""
    return (_MAC_PREFIX + address.packed).hex(":")

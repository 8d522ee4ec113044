"""One host's share of a plan that is spread over several: who is here, and how to the rest; pure.

Hosts are joined by an *underlay*. Every segment has a VXLAN tunnel on every host, and one gateway
address with one MAC on all of them (an anycast gateway). Nobody asks where anybody is: each
host is told every replica's MAC and the host behind which it is (`fdb`).
Source: RFC 7348 (VXLAN), bridge(8).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

#: IANA's port for VXLAN; and what an outer Ethernet, IPv4, UDP and VXLAN header take of a frame.
VXLAN_PORT = 4789
VXLAN_BYTES = 50
UNDERLAY_MTU = 1500
OVERLAY_MTU = UNDERLAY_MTU - VXLAN_BYTES
#: Locally administered, unicast; the address follows in the last four bytes.
_MAC_PREFIX = b"\x02\x54"


@dataclass(frozen=True, slots=True)
class VxlanLink:
    """A segment's VXLAN: the same network identifier on every host."""

    segment: str
    link: str
    vni: int


@dataclass(frozen=True, slots=True)
class FdbEntry:
    """A replica as every host knows it. `host` is the underlay address it is behind; None: here."""

    replica: str
    segment: str
    address: IPv4Address
    mac: str
    host: IPv4Address | None


@dataclass(frozen=True, slots=True)
class Vtep:
    """What one host is, and has to know of the others. `peers` are the others' addresses."""

    host: str
    address: IPv4Address
    underlay: IPv4Network
    peers: tuple[IPv4Address, ...]
    tunnels: tuple[VxlanLink, ...]
    fdb: tuple[FdbEntry, ...]
    port: int = VXLAN_PORT
    uplink: str = "eth0"

    @property
    def here(self) -> frozenset[str]:
        """Name the replicas that are on this host."""
        return frozenset(one.replica for one in self.fdb if one.host is None)

    def tunnel(self, segment: str) -> VxlanLink:
        """Give a segment's tunnel. Raises: StopIteration for a segment that has none."""
        return next(one for one in self.tunnels if one.segment == segment)

    def mac(self, replica: str) -> str:
        """Give a replica's MAC. Raises: StopIteration for one that is unknown."""
        return next(one.mac for one in self.fdb if one.replica == replica)


def mac_of(address: IPv4Address) -> str:
    """Derive a MAC from an address, the same on every host and at every run."""
    return (_MAC_PREFIX + address.packed).hex(":")

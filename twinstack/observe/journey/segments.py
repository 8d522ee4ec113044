"""TCP segments as several links saw them, joined into segments and connections through NAT. Pure.

Two sightings are of one segment when they agree in everything that routers and NAT leave alone:
identification, sequence and acknowledgement numbers, flags, window and payload length. Two pairs
of addresses are of one connection when one segment was seen with both. Source: RFC 791, RFC 9293.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from socket import IPPROTO_TCP

from twinstack.observe.traffic.protocols import ACK, FIN, RST, SYN

_IPV4 = struct.Struct(">BxHHxxBB2xII")  # version and size, length, id, TTL, protocol, addresses
_TCP = struct.Struct(">HHIIBBH")
_ETHERNET_BYTES = 14

#: Source address and port, destination address and port.
Ends = tuple[str, int, str, int]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A segment at one link."""

    time_ns: int  # of the real-time clock
    place: str  # the link
    ends: Ends
    ident: int
    seq: int
    ack: int
    flags: int
    window: int
    length: int  # of the frame
    payload: bytes = field(repr=False)

    @property
    def unchanged(self) -> tuple[int, ...]:
        """Give what no router and no NAT changes."""
        flags = self.flags & (FIN | SYN | RST | ACK)
        return self.ident, self.seq, self.ack, flags, self.window, len(self.payload)


@dataclass(frozen=True, slots=True)
class TcpSegment:
    """One segment, and everywhere it was seen, in the order of time."""

    sightings: tuple[Sighting, ...]

    @property
    def first(self) -> Sighting:
        return self.sightings[0]

    @property
    def last(self) -> Sighting:
        return self.sightings[-1]

    @property
    def payload(self) -> bytes:
        return self.first.payload

    @property
    def sender(self) -> tuple[str, int]:
        """Give who sent it: NAT has not rewritten the source of the first sighting."""
        return self.first.ends[:2]

    @property
    def hops(self) -> Iterable[tuple[Sighting, Sighting]]:
        """Give each sighting with the next one."""
        return zip(self.sightings, self.sightings[1:], strict=False)


#: All segments of a connection, in the order of time, whatever NAT made of its ends.
TcpConnection = tuple[TcpSegment, ...]


def handshake(connection: TcpConnection) -> tuple[TcpSegment, TcpSegment] | None:
    """Give SYN and SYN+ACK, if both were seen."""
    found: dict[int, TcpSegment] = {}
    for segment in connection:
        found.setdefault(segment.first.flags & (SYN | ACK), segment)
    return (found[SYN], found[SYN | ACK]) if {SYN, SYN | ACK} <= found.keys() else None


def decode(place: str, time_ns: int, frame: bytes, length: int) -> Sighting | None:
    """Read a frame's headers; None for what is not a whole TCP segment over IPv4."""
    if len(frame) < _ETHERNET_BYTES + 20 or frame[12:14] != b"\x08\x00":
        return None
    size, total, ident, _, protocol, source, target = _IPV4.unpack_from(frame, _ETHERNET_BYTES)
    start = _ETHERNET_BYTES + (size & 15) * 4
    if size >> 4 != 4 or protocol != IPPROTO_TCP or len(frame) < start + 20:
        return None
    sport, dport, seq, ack, offset, flags, window = _TCP.unpack_from(frame, start)
    payload = frame[start + (offset >> 4) * 4 : _ETHERNET_BYTES + total]
    ends = (str(IPv4Address(source)), sport, str(IPv4Address(target)), dport)
    return Sighting(time_ns, place, ends, ident, seq, ack, flags, window, length, payload)


def segments(sightings: Iterable[Sighting]) -> tuple[TcpSegment, ...]:
    """Join the sightings of each segment; they come in the order of their first ones."""
    groups: dict[tuple[int, ...], list[Sighting]] = {}
    for sighting in sorted(sightings, key=lambda sighting: sighting.time_ns):
        group = groups.setdefault(sighting.unchanged, [])
        if all((sighting.place, sighting.ends) != (other.place, other.ends) for other in group):
            group.append(sighting)
    return tuple(TcpSegment(tuple(group)) for group in groups.values())


def connections(found: Sequence[TcpSegment]) -> tuple[TcpConnection, ...]:
    """Join segments into connections: by their ends in either order, as any link saw them."""
    parent: dict[Ends, Ends] = {}

    def root(ends: Ends) -> Ends:
        parent.setdefault(ends, ends)
        while parent[ends] != ends:
            ends = parent[ends]
        return ends

    for segment in found:
        for sighting in segment.sightings:
            parent[root(_undirected(sighting.ends))] = root(_undirected(segment.first.ends))
    groups: dict[Ends, list[TcpSegment]] = {}
    for segment in found:
        groups.setdefault(root(_undirected(segment.first.ends)), []).append(segment)
    return tuple(map(tuple, groups.values()))


def _undirected(ends: Ends) -> Ends:
    source, target = ends[:2], ends[2:]
    return (*source, *target) if source <= target else (*target, *source)

"""TCP segments as several links saw them, joined into packets and connections through NAT; pure.

Two sights are of one packet when all agrees that routers and NAT leave alone: identification,
sequence, acknowledgement, flags, window and payload length. Two pairs of addresses are of one
connection when one packet was seen with both. Source: RFC 791, RFC 9293.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from socket import IPPROTO_TCP

from twinstack.observe.traffic import protocols as h

_IPV4 = struct.Struct(">BxHHxxBB2xII")  # version and size, length, id, TTL, protocol, addresses
_TCP = struct.Struct(">HHIIBBH")
_MATTERING = h.FIN | h.SYN | h.RST | h.ACK

#: Source address and port, destination address and port.
Ends = tuple[str, int, str, int]


@dataclass(frozen=True, slots=True)
class Sight:
    """A segment at one link. Units: nanoseconds of the real-time clock; length of the frame."""

    time_ns: int
    place: str
    ends: Ends
    ident: int
    seq: int
    ack: int
    flags: int
    window: int
    length: int
    payload: bytes = field(repr=False)

    @property
    def same(self) -> tuple[int, ...]:
        """Give what no router and no NAT changes."""
        return (
            self.ident,
            self.seq,
            self.ack,
            self.flags & _MATTERING,
            self.window,
            len(self.payload),
        )


@dataclass(frozen=True, slots=True)
class Packet:
    """One segment, and everywhere it was seen, in the order of time."""

    sights: tuple[Sight, ...]

    @property
    def first(self) -> Sight:
        return self.sights[0]

    @property
    def last(self) -> Sight:
        return self.sights[-1]

    @property
    def payload(self) -> bytes:
        return self.first.payload

    @property
    def flags(self) -> int:
        return self.first.flags


@dataclass(frozen=True, slots=True)
class Connection:
    """All packets of a TCP connection, whatever NAT called its ends, in the order of time."""

    packets: tuple[Packet, ...]


def decode(place: str, time_ns: int, frame: bytes, length: int) -> Sight | None:
    """Read a frame's headers; None for what is no whole TCP segment over IPv4."""
    if len(frame) < 14 + 20 or frame[12:14] != b"\x08\x00":
        return None
    size, total, ident, _, protocol, source, target = _IPV4.unpack_from(frame, 14)
    start = 14 + (size & 15) * 4
    if size >> 4 != 4 or protocol != IPPROTO_TCP or len(frame) < start + 20:
        return None
    sport, dport, seq, ack, offset, flags, window = _TCP.unpack_from(frame, start)
    payload = frame[start + (offset >> 4) * 4 : 14 + total]
    ends = (str(IPv4Address(source)), sport, str(IPv4Address(target)), dport)
    return Sight(time_ns, place, ends, ident, seq, ack, flags, window, length, payload)


def packets(sights: Iterable[Sight]) -> tuple[Packet, ...]:
    """Join the sights of each packet; they come in the order of their first ones."""
    groups: dict[tuple[int, ...], list[Sight]] = {}
    for one in sorted(sights, key=lambda one: one.time_ns):
        group = groups.setdefault(one.same, [])
        if all((one.place, one.ends) != (other.place, other.ends) for other in group):
            group.append(one)
    return tuple(Packet(tuple(group)) for group in groups.values())


def connections(found: Sequence[Packet]) -> tuple[Connection, ...]:
    """Join packets into connections: by their ends, either way, as any link saw them."""
    parent: dict[Ends, Ends] = {}

    def root(ends: Ends) -> Ends:
        parent.setdefault(ends, ends)
        while parent[ends] != ends:
            ends = parent[ends]
        return ends

    for packet in found:
        for one in packet.sights:
            parent[root(_either_way(one.ends))] = root(_either_way(packet.first.ends))
    groups: dict[Ends, list[Packet]] = {}
    for packet in found:
        groups.setdefault(root(_either_way(packet.first.ends)), []).append(packet)
    return tuple(Connection(tuple(group)) for group in groups.values())


def _either_way(ends: Ends) -> Ends:
    one, other = ends[:2], ends[2:]
    return (*one, *other) if one <= other else (*other, *one)

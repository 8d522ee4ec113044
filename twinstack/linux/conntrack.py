"""Read what the kernel's connection tracking tells: entries, events, the table's size; pure.

A table of a quarter million entries is read while somebody watches, so an entry of the usual form
(IPv4, TCP or UDP) is taken apart by one unpacking; a test holds it against pyroute2's reader.
Source: nfnetlink_conntrack.h, nf_conntrack_common.h, nf_conntrack_tcp.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import product

from twinstack.errors import Missing
from twinstack.linux import process
from twinstack.linux.netlink import attributes

_SUBSYSTEM = 1 << 8
#: Kinds of requests: every entry, the table's size, each processor's counters.
GET, GET_CPU, GET_SIZE = _SUBSYSTEM | 1, _SUBSYSTEM | 4, _SUBSYSTEM | 5
#: Kinds of events. One that is new comes as a message that it is there.
NEW, DESTROYED = _SUBSYSTEM, _SUBSYSTEM | 2
#: Groups that tell events, as bits: of new entries, and of those that end.
NEW_GROUP, DESTROYED_GROUP = 1 << 0, 1 << 2
#: The body of a question about every address family.
EVERY = struct.pack("!BBH", socket.AF_UNSPEC, 0, 0)

_FAMILY_BYTES = 4
_ASKED, _ANSWERED, _STATUS, _PROTOCOL_INFO = 1, 2, 3, 4
_IP, _PROTOCOL = 1, 2
_V4_SOURCE, _V4_DESTINATION, _V6_SOURCE, _V6_DESTINATION = 1, 2, 3, 4
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_TCP_INFO, _TCP_STATE = 1, 1
_SEEN_REPLY, _ASSURED = 1 << 1, 1 << 2
_ENTRIES, _LIMIT = 1, 2
_INSERT_FAILED, _DROPPED, _EARLY_DROPPED = 8, 9, 10

#: As conntrack(8) names them, by the kernel's number.
TCP_STATES = (
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
)

# Both ways of an IPv4 entry with ports, each: length and kind; of the addresses the same; source,
# destination; then protocol and ports, each behind four bytes of length and kind.
_WAY = "HHH2x4x4s4x4s8xB3x4x2s2x4x2s2x"
_USUAL = struct.Struct("=" + _WAY + _WAY)
_WAY_BYTES, _IP_BYTES, _NESTED = _USUAL.size // 2, 20, 0x8000


@dataclass(frozen=True, slots=True)
class Way:
    """One direction's packets: addresses as the kernel's bytes; ports 0 where there are none."""

    source: bytes
    destination: bytes
    source_port: int
    destination_port: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A tracked connection. `asked` is as the client sends, `answered` as replies come back.

    Where an address is translated, the two are no mirror images. `state` is TCP's; of other
    protocols UNREPLIED, REPLIED or ASSURED; "" where nothing is told of it, as when it ended.
    """

    protocol: int
    asked: Way
    answered: Way
    state: str

    @property
    def translated(self) -> bool:
        """Tell whether NAT changed an address or a port."""
        asked, answered = self.asked, self.answered
        return (asked.source, asked.destination, asked.source_port, asked.destination_port) != (
            answered.destination,
            answered.source,
            answered.destination_port,
            answered.source_port,
        )


@dataclass(frozen=True, slots=True)
class Pressure:
    """What a table turned away since its namespace began: entries dropped, early and at all."""

    dropped: int
    early_dropped: int
    insert_failed: int


def read_entry(body: memoryview) -> Entry:
    """Read one entry. Raises: ValueError for a message without both ways."""
    found = _read_usual(body)
    if found is not None:
        return found
    told = attributes(body[_FAMILY_BYTES:])
    if _ASKED not in told or _ANSWERED not in told:
        raise ValueError("a tracked connection without its addresses")
    asked, protocol = _read_way(told[_ASKED])
    answered, _ = _read_way(told[_ANSWERED])
    return Entry(protocol, asked, answered, _read_state(protocol, told))


def _read_usual(body: memoryview) -> Entry | None:
    """Read an entry of the usual form; None for one of another."""
    if len(body) < _FAMILY_BYTES + _USUAL.size:
        return None
    (
        length,
        kind,
        ip_length,
        source,
        destination,
        protocol,
        source_port,
        destination_port,
        length_2,
        kind_2,
        ip_length_2,
        source_2,
        destination_2,
        _,
        source_port_2,
        destination_port_2,
    ) = _USUAL.unpack_from(body, _FAMILY_BYTES)
    if (length, kind, ip_length) != (_WAY_BYTES, _ASKED | _NESTED, _IP_BYTES) or (
        length_2,
        kind_2,
        ip_length_2,
    ) != (_WAY_BYTES, _ANSWERED | _NESTED, _IP_BYTES):
        return None
    told = attributes(body[_FAMILY_BYTES + _USUAL.size :])
    number = int.from_bytes
    return Entry(
        protocol,
        Way(source, destination, number(source_port, "big"), number(destination_port, "big")),
        Way(
            source_2, destination_2, number(source_port_2, "big"), number(destination_port_2, "big")
        ),
        _read_state(protocol, told),
    )


def _read_way(data: memoryview) -> tuple[Way, int]:
    told = attributes(data)
    ip = attributes(told[_IP]) if _IP in told else {}
    protocol = attributes(told[_PROTOCOL]) if _PROTOCOL in told else {}
    source = ip.get(_V4_SOURCE, ip.get(_V6_SOURCE))
    destination = ip.get(_V4_DESTINATION, ip.get(_V6_DESTINATION))
    if source is None or destination is None:
        raise ValueError("a tracked connection without its addresses")
    way = Way(
        bytes(source),
        bytes(destination),
        _big(protocol.get(_SOURCE_PORT)),
        _big(protocol.get(_DESTINATION_PORT)),
    )
    return way, _big(protocol.get(_NUMBER))


def _read_state(protocol: int, told: dict[int, memoryview]) -> str:
    if protocol == socket.IPPROTO_TCP:
        if _PROTOCOL_INFO not in told:
            return ""
        info = attributes(told[_PROTOCOL_INFO])
        state = attributes(info[_TCP_INFO]).get(_TCP_STATE) if _TCP_INFO in info else None
        if state is None:
            return ""
        return TCP_STATES[state[0]] if state[0] < len(TCP_STATES) else f"state {state[0]}"
    status = _big(told.get(_STATUS))
    if not status & _SEEN_REPLY:
        return "UNREPLIED"
    return "ASSURED" if status & _ASSURED else "REPLIED"


def read_size(body: memoryview) -> tuple[int, int | None]:
    """Read the table's size: entries, and how many there may be (None where it is not told)."""
    told = attributes(body[_FAMILY_BYTES:])
    limit = _big(told.get(_LIMIT)) if _LIMIT in told else None
    return _big(told.get(_ENTRIES)), limit


def read_pressure(bodies: list[memoryview]) -> Pressure:
    """Sum up the counters of every processor."""
    told = [attributes(body[_FAMILY_BYTES:]) for body in bodies]

    def total(kind: int) -> int:
        return sum(_big(one.get(kind)) for one in told)

    return Pressure(total(_DROPPED), total(_EARLY_DROPPED), total(_INSERT_FAILED))


def _big(data: memoryview | None) -> int:
    return 0 if data is None else int.from_bytes(data, "big")


def flush(subnets: Iterable[IPv4Network], prefix: tuple[str, ...] = ()) -> None:
    """Delete every entry from one of the subnets to another.

    Needed after two changes: a bridge whose frames start to pass iptables (earlier packets were
    not tracked, so replies would look INVALID), and a flow that was withdrawn (ESTABLISHED entries
    would keep it open). The next packet of each connection is judged again.

    `prefix` runs the command elsewhere. Without the conntrack program the entries time out on their
    own. Same as: conntrack -D -s SUBNET -d SUBNET. Raises: StepFailed.
    """
    known = list(subnets)
    with suppress(Missing):
        for source, destination in product(known, known):
            # It exits 1 when there was nothing to delete.
            command = f"conntrack -D -s {source} -d {destination}"
            process.run([*prefix, *command.split()], check=False)

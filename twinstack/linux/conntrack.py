"""The kernel's connection tracking: entries, events, statistics, and flushing entries.

A table of a quarter million entries is read while somebody watches, so an entry of the usual form
(IPv4, TCP or UDP) is taken apart by one unpacking; a test holds it against pyroute2's reader.
Source: nfnetlink_conntrack.h, nf_conntrack_common.h, nf_conntrack_tcp.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Network
from itertools import product

from twinstack.errors import CannotTell, Missing
from twinstack.linux import process, procfs
from twinstack.linux.netlink import NETLINK, Netlink, Refused, as_big_endian, attributes, nested

_SUBSYSTEM = 1 << 8  # NFNL_SUBSYS_CTNETLINK
#: struct nfgenmsg for every address family: the body of a request.
EVERY = struct.pack("!BBH", socket.AF_UNSPEC, 0, 0)


class IPCTNL(IntEnum):
    """Kinds of messages, with their subsystem: IPCTNL_MSG_CT_*. Source: nfnetlink_conntrack.h."""

    NEW = _SUBSYSTEM  # also each entry of a dump
    GET = _SUBSYSTEM | 1
    DELETE = _SUBSYSTEM | 2
    GET_STATS_CPU = _SUBSYSTEM | 4


#: Groups that receive events, as bits: NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_DESTROY.
NEW_GROUP, DESTROY_GROUP = 1 << 0, 1 << 2


class CTA(IntEnum):
    """Attributes of an entry: CTA_*, as CTA_TUPLE_ORIG. Source: nfnetlink_conntrack.h."""

    TUPLE_ORIG = 1
    TUPLE_REPLY = 2
    STATUS = 3
    PROTOINFO = 4
    TIMEOUT = 7
    COUNTERS_ORIG = 9
    COUNTERS_REPLY = 10


class TUPLE(IntEnum):
    """In a tuple: CTA_TUPLE_*."""

    IP = 1
    PROTO = 2


class IP(IntEnum):
    """In a tuple's CTA_TUPLE_IP: CTA_IP_*."""

    V4_SRC = 1
    V4_DST = 2
    V6_SRC = 3
    V6_DST = 4


class PROTO(IntEnum):
    """In a tuple's CTA_TUPLE_PROTO: CTA_PROTO_*."""

    NUM = 1
    SRC_PORT = 2
    DST_PORT = 3


_CTA_COUNTERS_BYTES = 2


class STATS(IntEnum):
    """Of each processor's counters: CTA_STATS_*."""

    INSERT_FAILED = 8
    DROP = 9
    EARLY_DROP = 10


_CTA_PROTOINFO_TCP, _CTA_PROTOINFO_TCP_STATE = 1, 1
_IPS_SEEN_REPLY, _IPS_ASSURED = 1 << 1, 1 << 2
_NFGENMSG_BYTES = 4
_SO_RCVBUFFORCE, _BUFFER_BYTES = 33, 8 << 20
_TIMEOUT = "net.netfilter.nf_conntrack_"

#: As conntrack(8) names TCP's states, by the kernel's number.
TCP_STATES = (
    *("NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK"),
    *("TIME_WAIT", "CLOSE", "SYN_SENT2"),
)

# An IPv4 tuple with ports: its length and type; those of its addresses; source, destination; then
# protocol and ports, each behind four bytes of length and type.
_TUPLE = "HHH2x4x4s4x4s8xB3x4x2s2x4x2s2x"
_BOTH_TUPLES = struct.Struct("=" + _TUPLE + _TUPLE)
_TUPLE_BYTES, _IP_BYTES, _NLA_F_NESTED = _BOTH_TUPLES.size // 2, 20, 0x8000
_ORIG_HEADER = (_TUPLE_BYTES, CTA.TUPLE_ORIG | _NLA_F_NESTED, _IP_BYTES)
_REPLY_HEADER = (_TUPLE_BYTES, CTA.TUPLE_REPLY | _NLA_F_NESTED, _IP_BYTES)


@dataclass(frozen=True, slots=True)
class ConntrackTuple:
    """One direction's packets: addresses as the kernel's bytes; ports 0 where there are none."""

    source: bytes
    destination: bytes
    source_port: int
    destination_port: int


@dataclass(frozen=True, slots=True)
class ConntrackEntry:
    """A tracked connection."""

    protocol: int
    original: ConntrackTuple  # as the client sends
    reply: ConntrackTuple  # as replies come back: no mirror image where NAT changes something
    state: str  # TCP's, else UNREPLIED, REPLIED or ASSURED; "" where it is not reported


@dataclass(frozen=True, slots=True)
class ConntrackUse:
    """What an entry tells of its packets."""

    left_s: int  # until it times out, unless there is another packet
    transferred: int | None  # bytes both ways; None: the kernel does not count (nf_conntrack_acct)


@dataclass(frozen=True, slots=True)
class ConntrackStats:
    """What a table turned away since its namespace began, as conntrack -S counts it."""

    dropped: int  # packets of connections that there was no room for
    early_dropped: int  # entries removed to make room
    insert_failed: int


def read_entry(body: memoryview) -> ConntrackEntry:
    """Read one entry. Raises: ValueError for a message without both tuples."""
    if (usual := _read_usual(body)) is not None:
        return usual
    parts = attributes(body[_NFGENMSG_BYTES:])
    original, protocol = _read_tuple(nested(parts, CTA.TUPLE_ORIG))
    reply, _ = _read_tuple(nested(parts, CTA.TUPLE_REPLY))
    return ConntrackEntry(protocol, original, reply, _read_state(protocol, parts))


def read_use(body: memoryview) -> ConntrackUse:
    """Read what an entry tells of its packets."""
    parts = attributes(body[_NFGENMSG_BYTES:])
    counters = [nested(parts, kind) for kind in (CTA.COUNTERS_ORIG, CTA.COUNTERS_REPLY)]
    both = sum(as_big_endian(each.get(_CTA_COUNTERS_BYTES)) for each in counters)
    return ConntrackUse(as_big_endian(parts.get(CTA.TIMEOUT)), both if all(counters) else None)


def timeouts() -> dict[str, int]:
    """Read after how many seconds without a packet an entry goes, by its state, in this netns.

    For TCP the states of TCP_STATES, and "unacknowledged", else REPLIED and ASSURED of UDP.
    Source: nf_conntrack-sysctl.rst.
    """
    names = {state: f"tcp_timeout_{state.lower()}" for state in TCP_STATES[1:9]}
    names |= {"unacknowledged": "tcp_timeout_unacknowledged"}
    names |= {"REPLIED": "udp_timeout", "ASSURED": "udp_timeout_stream"}
    found = {state: procfs.sysctl_numbers(f"{_TIMEOUT}{name}") for state, name in names.items()}
    return {state: numbers[0] for state, numbers in found.items() if numbers}


@contextmanager
def asked() -> Iterator[Netlink]:
    """Ask about the table of the namespace that we are in. Raises: CannotTell without one."""
    try:
        with Netlink(NETLINK.NETFILTER) as netlink:
            yield netlink
    except Refused as error:
        cause, remedy = error.strerror or str(error), "run: modprobe nf_conntrack_netlink"
        raise CannotTell("connection tracking", "cannot be asked", cause, remedy) from error


def opened(groups: int) -> socket.socket:
    """Open a socket to events on the table of the namespace that we are in. Raises: OSError."""
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK.NETFILTER)
    events.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    events.bind((0, groups))
    return events


def _read_usual(body: memoryview) -> ConntrackEntry | None:
    """Read an entry of the usual form; None for one of another."""
    if len(body) < _NFGENMSG_BYTES + _BOTH_TUPLES.size:
        return None
    values = _BOTH_TUPLES.unpack_from(body, _NFGENMSG_BYTES)
    if values[:3] != _ORIG_HEADER or values[8:11] != _REPLY_HEADER:
        return None
    number = int.from_bytes
    _, _, _, source, destination, protocol, source_port, destination_port = values[:8]
    original = ConntrackTuple(
        source, destination, number(source_port, "big"), number(destination_port, "big")
    )
    source, destination, _, source_port, destination_port = values[11:]
    reply = ConntrackTuple(
        source, destination, number(source_port, "big"), number(destination_port, "big")
    )
    parts = attributes(body[_NFGENMSG_BYTES + _BOTH_TUPLES.size :])
    return ConntrackEntry(protocol, original, reply, _read_state(protocol, parts))


def _read_tuple(parts: dict[int, memoryview]) -> tuple[ConntrackTuple, int]:
    """Read a tuple and its protocol."""
    ip, protocol = nested(parts, TUPLE.IP), nested(parts, TUPLE.PROTO)
    source = ip.get(IP.V4_SRC, ip.get(IP.V6_SRC))
    destination = ip.get(IP.V4_DST, ip.get(IP.V6_DST))
    if source is None or destination is None:
        raise ValueError("a tracked connection without its addresses")
    ports = (as_big_endian(protocol.get(kind)) for kind in (PROTO.SRC_PORT, PROTO.DST_PORT))
    number = as_big_endian(protocol.get(PROTO.NUM))
    return ConntrackTuple(bytes(source), bytes(destination), *ports), number


def _read_state(protocol: int, parts: dict[int, memoryview]) -> str:
    if protocol == socket.IPPROTO_TCP:
        try:
            info = attributes(attributes(parts[_PROTOINFO])[_CTA_PROTOINFO_TCP])
            state = info[_CTA_PROTOINFO_TCP_STATE][0]
        except KeyError:
            return ""
        return TCP_STATES[state] if state < len(TCP_STATES) else f"state {state}"
    status = as_big_endian(parts.get(_STATUS))
    if not status & _IPS_SEEN_REPLY:
        return "UNREPLIED"
    return "ASSURED" if status & _IPS_ASSURED else "REPLIED"


# Plain numbers where each entry needs them: a look-up in an enum costs a tenth of its reading.
_PROTOINFO, _STATUS = int(CTA.PROTOINFO), int(CTA.STATUS)


def size() -> tuple[int, int] | None:
    """Read how many connections are tracked here, and how many may be; None where none is."""
    sizes = procfs.sysctl_numbers("net.netfilter.nf_conntrack_count")
    limits = procfs.sysctl_numbers("net.netfilter.nf_conntrack_max")
    return (sizes[0], limits[0]) if sizes and limits else None


def read_stats(bodies: Iterable[memoryview]) -> ConntrackStats:
    """Sum up the counters of every processor."""
    processors = [attributes(body[_NFGENMSG_BYTES:]) for body in bodies]
    return ConntrackStats(
        *(
            sum(as_big_endian(counters.get(kind)) for counters in processors)
            for kind in (STATS.DROP, STATS.EARLY_DROP, STATS.INSERT_FAILED)
        )
    )


def flush(
    subnets: Iterable[IPv4Network],
    prefix: tuple[str, ...] = (),
    *,
    only: Collection[str] | None = None,
) -> None:
    """Delete every entry from one of the subnets to another; `only` those of some addresses.

    Needed after two changes: a bridge whose frames start to pass iptables (earlier packets were
    not tracked, so replies would look INVALID), and a flow that was withdrawn (ESTABLISHED entries
    would keep it open). The next packet of each connection is judged again; if it is the server's,
    it looks like a request of the server's and is denied, so a connection that may stay is spared.

    `prefix` runs the command elsewhere. Without the conntrack program the entries time out on their
    own. Same as: conntrack -D -s SUBNET -d SUBNET. Raises: StepFailed.
    """
    ours = list(map(str, subnets))
    pairs = list(product(ours, ours))
    if only is not None:
        pairs = [*product(sorted(only), ours), *product(ours, sorted(only))]
    with suppress(Missing):
        for source, destination in pairs:
            # It exits 1 when there was nothing to delete.
            command = f"conntrack -D -s {source} -d {destination}"
            process.run([*prefix, *command.split()], check=False)

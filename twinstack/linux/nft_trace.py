"""Which netfilter rules a packet meets, as the kernel's own trace of nf_tables says.

Tracing needs a rule that marks the packets. Ours is in a table that belongs to the socket it was
made by (NFT_TABLE_F_OWNER, Linux 5.12): the kernel removes it with the socket, however this process
ends. Only packets of one number are marked, as a port of TCP or UDP or an ICMP identifier.
Same as: nft add table …; nft monitor trace; xtables-monitor --trace.
Source: nf_tables.h, nfnetlink.h, nft(8).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum

from twinstack.linux.netlink import (
    NETLINK,
    NLM,
    NLMSG_ERROR,
    Netlink,
    as_big_endian,
    as_text,
    attribute,
    attributes,
    messages,
    nested,
    pack,
    refusal,
    text,
)

_SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEWTABLE, _NEWCHAIN, _NEWRULE, _GETRULE, _TRACE = (
    _SUBSYSTEM << 8 | message for message in (0, 3, 6, 7, 17)
)
_NFNLGRP_NFTRACE, _SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP = 9, 270, 1
_TABLE_F_OWNER, _TRACETYPE_POLICY = 2, 1
_NFGENMSG = struct.Struct("!BBH")  # family, version, subsystem
_NESTED = 0x8000
_FAMILIES = {socket.AF_INET: "ip", 1: "inet", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_TABLE = "twinstack_why"
#: Before conntrack, raw and any other: Source: netfilter_ipv4.h, NF_IP_PRI_RAW_BEFORE_DEFRAG.
_PRIORITY = -450
_PREROUTING, _OUTPUT = 0, 3  # hooks
_TRANSPORT_HEADER, _META_NFTRACE, _REGISTER = 2, 12, 1
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES, _DATAGRAM_BYTES, _TIMEOUT_S = 1 << 21, 1 << 16, 5


class TRACE(IntEnum):
    """Attributes of a trace: NFTA_TRACE_*. Source: nf_tables.h."""

    TABLE = 1
    CHAIN = 2
    RULE_HANDLE = 3
    TYPE = 4
    VERDICT = 5
    ID = 6
    NETWORK_HEADER = 8
    TRANSPORT_HEADER = 9
    IIF = 10
    OIF = 12
    POLICY = 16


#: Verdicts; the kernel's are negative where they only lead on. Source: netfilter.h, nf_tables.h.
_VERDICTS = {
    0: "drop",
    1: "accept",
    2: "stolen",
    3: "queue",
    -1: "continue",
    -2: "break",
    -3: "jump",
    -4: "goto",
    -5: "return",
}


@dataclass(frozen=True, slots=True)
class Traced:
    """A rule, or a chain's policy, that a packet met."""

    packet: int  # one number a packet and hook function
    family: str  # ip, inet, …
    table: str
    chain: str
    handle: int  # the rule's; 0 for a chain's policy
    verdict: str
    headers: bytes  # the IP header and what is behind it: of each number, at least once


def opened(number: int) -> socket.socket:
    """Begin to trace in the namespace that we are in; the trace ends with the socket.

    Raises: OSError, Refused for a kernel without nf_tables' tracing.
    """
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK.NETFILTER)
    try:
        # A whole answer's packets, each with some thirty rules, wait here. Without the right to
        # exceed the host's limit: what fits.
        with suppress(PermissionError):
            netlink.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        netlink.settimeout(_TIMEOUT_S)
        netlink.bind((0, 0))
        netlink.send(_batch(number, f"{_TABLE}_{netlink.getsockname()[0]}"))
        for kind, _, _, body in messages(memoryview(netlink.recv(_DATAGRAM_BYTES))):
            if kind == NLMSG_ERROR and (refused := refusal(body)) is not None:
                raise refused
        netlink.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _NFNLGRP_NFTRACE)
    except BaseException:
        netlink.close()
        raise
    return netlink


def read(netlink: socket.socket) -> Iterator[Traced]:
    """Take what was traced since the last look; waits for nothing. Raises: OSError."""
    netlink.setblocking(False)
    while True:
        try:
            data = netlink.recv(_DATAGRAM_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # some were lost
                raise
            continue
        yield from traces(data)


def traces(data: bytes) -> Iterator[Traced]:
    """Read the messages of one datagram of the kernel's; pure."""
    for kind, _, _, body in messages(memoryview(data)):
        if kind != _TRACE:
            continue
        parts = attributes(body[_NFGENMSG.size :])
        table = as_text(parts.get(TRACE.TABLE)) or ""
        if table.startswith(_TABLE):
            continue
        if as_big_endian(parts.get(TRACE.TYPE)) == _TRACETYPE_POLICY:
            code = as_big_endian(parts.get(TRACE.POLICY))
        else:
            code = as_big_endian(nested(parts, TRACE.VERDICT).get(1))
        yield Traced(
            as_big_endian(parts.get(TRACE.ID)),
            _FAMILIES.get(body[0], str(body[0])),
            table,
            as_text(parts.get(TRACE.CHAIN)) or "",
            as_big_endian(parts.get(TRACE.RULE_HANDLE)),
            _VERDICTS.get(code - (1 << 32) if code >> 31 else code & 0xFF, str(code)),
            bytes(parts.get(TRACE.NETWORK_HEADER, b""))
            + bytes(parts.get(TRACE.TRANSPORT_HEADER, b"")),
        )


def handles() -> dict[tuple[str, str, str], list[int]]:
    """List the handles of the rules of each (family, table, chain) here, in the rules' order.

    iptables-save prints the rules of a chain in this order. Raises: Refused, OSError.
    """
    found: dict[tuple[str, str, str], list[int]] = {}
    with Netlink(NETLINK.NETFILTER) as netlink:
        for body in netlink.dump(_GETRULE, _NFGENMSG.pack(socket.AF_UNSPEC, 0, 0)):
            parts = attributes(body[_NFGENMSG.size :])
            table, chain = (as_text(parts.get(kind)) or "" for kind in (1, 2))
            family = _FAMILIES.get(body[0], str(body[0]))
            found.setdefault((family, table, chain), []).append(as_big_endian(parts.get(3)))
    return found


def _batch(number: int, table: str) -> bytes:
    """Pack the table with a chain at each hook where a packet may begin, all or nothing."""
    head = _NFGENMSG.pack(socket.AF_INET, 0, 0)
    subsystem = _NFGENMSG.pack(socket.AF_UNSPEC, 0, _SUBSYSTEM)
    requests = [(_NEWTABLE, text(1, table) + _be32(2, _TABLE_F_OWNER))]
    for chain, hook in (("prerouting", _PREROUTING), ("output", _OUTPUT)):
        where = _nest(4, _be32(1, hook) + attribute(2, struct.pack("!i", _PRIORITY)))
        requests.append((_NEWCHAIN, text(1, table) + text(3, chain) + where + text(7, "filter")))
        requests += [
            (_NEWRULE, text(1, table) + text(2, chain) + _marking(offset, number))
            for offset in (0, 2, 4)  # source port, destination port, ICMP identifier
        ]
    flags = NLM.CREATE | NLM.APPEND
    packed = [pack(_BATCH_BEGIN, 0, 0, subsystem)]
    for place, (kind, body) in enumerate(requests, 1):
        last = NLM.ACK if place == len(requests) else 0
        packed.append(pack(kind, flags | last, place, head + body))
    return b"".join([*packed, pack(_BATCH_END, 0, len(requests) + 1, subsystem)])


def _marking(offset: int, number: int) -> bytes:
    """Same as: @th,OFFSET,16 NUMBER meta nftrace set 1."""
    field = _be32(1, _REGISTER) + _be32(2, _TRANSPORT_HEADER) + _be32(3, offset) + _be32(4, 2)
    value = _nest(3, attribute(1, number.to_bytes(2, "big")))
    one = _be32(1, _REGISTER) + _nest(2, attribute(1, b"\x01\0\0\0"))
    return _expressions(
        (
            ("payload", field),
            ("cmp", _be32(1, _REGISTER) + _be32(2, 0) + value),
            ("immediate", one),
            ("meta", _be32(2, _META_NFTRACE) + _be32(3, _REGISTER)),
        )
    )


def _expressions(parts: Sequence[tuple[str, bytes]]) -> bytes:
    return _nest(4, b"".join(_nest(1, text(1, name) + _nest(2, data)) for name, data in parts))


def _be32(kind: int, value: int) -> bytes:
    return attribute(kind, value.to_bytes(4, "big"))


def _nest(kind: int, body: bytes) -> bytes:
    return attribute(kind | _NESTED, body)

"""Entries are read in both forms alike; what NAT changed is seen; nonsense is an error."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from twinstack.linux import conntrack
from twinstack.linux.conntrack import CTA, IP, PROTO, TUPLE, ConntrackTuple
from twinstack.linux.netlink import attribute

NESTED = 0x8000
A, B, C = (ip_address(f"10.0.0.{number}").packed for number in (1, 2, 3))
A6, B6 = (ip_address(f"2001:db8::{number}").packed for number in (1, 2))


def packed(kind: int, ends: ConntrackTuple, protocol: int) -> bytes:
    v4 = len(ends.source) == 4
    ip = attribute(IP.V4_SRC if v4 else IP.V6_SRC, ends.source)
    ip += attribute(IP.V4_DST if v4 else IP.V6_DST, ends.destination)
    proto = attribute(PROTO.NUM, bytes([protocol]))
    if protocol in {6, 17}:
        proto += attribute(PROTO.SRC_PORT, ends.source_port.to_bytes(2, "big"))
        proto += attribute(PROTO.DST_PORT, ends.destination_port.to_bytes(2, "big"))
    inner = attribute(TUPLE.IP | NESTED, ip) + attribute(TUPLE.PROTO | NESTED, proto)
    return attribute(kind | NESTED, inner)


def message(original: ConntrackTuple, reply: ConntrackTuple, protocol: int, more: bytes) -> bytes:
    both = packed(CTA.TUPLE_ORIG, original, protocol) + packed(CTA.TUPLE_REPLY, reply, protocol)
    return conntrack.EVERY + both + more


def status(value: int) -> bytes:
    return attribute(CTA.STATUS, value.to_bytes(4, "big"))


def tcp_state(number: int) -> bytes:
    return attribute(CTA.PROTOINFO | NESTED, attribute(1 | NESTED, attribute(1, bytes([number]))))


SENT, ANSWERED = ConntrackTuple(A, B, 9, 80), ConntrackTuple(B, A, 80, 9)


@pytest.mark.parametrize(
    ("reply", "protocol", "more", "state"),
    [
        (ANSWERED, 6, tcp_state(3), "ESTABLISHED"),
        (ConntrackTuple(C, A, 80, 9), 6, tcp_state(7), "TIME_WAIT"),
        (ANSWERED, 6, b"", ""),
        (ANSWERED, 6, tcp_state(99), "state 99"),
        (ANSWERED, 17, status(0), "UNREPLIED"),
        (ConntrackTuple(B, A, 80, 8), 17, status(2), "REPLIED"),
        (ANSWERED, 17, status(6), "ASSURED"),
    ],
)
def test_an_entry_of_the_usual_form_is_read(
    reply: ConntrackTuple, protocol: int, more: bytes, state: str
):
    entry = conntrack.read_entry(memoryview(message(SENT, reply, protocol, more)))
    assert (entry.protocol, entry.original, entry.reply) == (protocol, SENT, reply)
    assert entry.state == state


@pytest.mark.parametrize(
    ("original", "reply", "protocol"),
    [
        (ConntrackTuple(A, B, 0, 0), ConntrackTuple(B, A, 0, 0), 1),
        (ConntrackTuple(A6, B6, 9, 80), ConntrackTuple(B6, A6, 80, 9), 6),
    ],
)
def test_an_entry_of_any_other_form_is_read_too(
    original: ConntrackTuple, reply: ConntrackTuple, protocol: int
):
    entry = conntrack.read_entry(memoryview(message(original, reply, protocol, status(6))))
    assert (entry.protocol, entry.original, entry.reply) == (protocol, original, reply)


@pytest.mark.parametrize("cut", range(0, 108, 7))
def test_a_cut_message_is_an_error(cut: int):
    body = message(SENT, ANSWERED, 6, b"")[:cut]
    with pytest.raises(ValueError, match="without its addresses"):
        conntrack.read_entry(memoryview(body))


def test_the_counters_of_all_processors_are_summed():
    counters = b"".join(attribute(kind, struct.pack("!I", kind)) for kind in (8, 9, 10))
    bodies = [memoryview(conntrack.EVERY + counters)] * 2
    stats = conntrack.read_stats(bodies)
    assert (stats.insert_failed, stats.dropped, stats.early_dropped) == (16, 18, 20)

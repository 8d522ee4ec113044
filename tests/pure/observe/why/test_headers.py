"""A packet's ends are read, and what is no whole head is refused."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from twinstack.observe.why import headers

SOURCE, DESTINATION = bytes((10, 0, 0, 40)), bytes((10, 0, 0, 60))


def packet(protocol: int, body: bytes, version: int = 0x45) -> bytes:
    head = struct.pack(">BxHHxxBBxx", version, 20 + len(body), 1, 64, protocol)
    return head + SOURCE + DESTINATION + body


@pytest.mark.parametrize(("protocol", "name"), [(6, "tcp"), (17, "udp")])
def test_the_ports_of_tcp_and_udp(protocol: int, name: str):
    read = headers.read(packet(protocol, struct.pack(">HHI", 40_000, 5432, 0)))
    assert read is not None
    assert (read.protocol, str(read)) == (name, "10.0.0.40:40000 > 10.0.0.60:5432")


def test_a_ping_has_its_identifier_where_the_client_is():
    request = headers.read(packet(1, struct.pack(">BBHHH", 8, 0, 0, 777, 1)))
    reply = headers.read(packet(1, struct.pack(">BBHHH", 0, 0, 0, 777, 1)))
    assert request is not None
    assert reply is not None
    assert (request.source_port, request.destination_port) == (777, 0)
    assert (reply.source_port, reply.destination_port) == (0, 777)
    assert str(request) == "10.0.0.40 > 10.0.0.60"


def framed(inner: bytes) -> bytes:
    return bytes(12) + b"\x08\x00" + inner


@pytest.mark.parametrize(("port", "protocol"), [(4789, "tcp"), (4790, "udp")])
def test_of_a_frame_in_vxlan_the_frame_within_is_read(port: int, protocol: str):
    inner = framed(packet(6, struct.pack(">HHI", 40_000, 5432, 0)))
    outer = packet(17, struct.pack(">HHHHBxxxI", 51_618, port, 0, 0, 8, 7300 << 8) + inner)
    read = headers.read_frame(framed(outer))
    assert read is not None
    assert read.protocol == protocol


ATTEMPT = headers.Attempted(
    "tcp", 40_000, frozenset({"10.0.0.40"}), frozenset({"10.0.0.1"}), frozenset({5432})
)
REQUEST = headers.Headers("tcp", "10.0.0.40", 40_000, "10.0.0.60", 5432)


def test_a_packet_of_the_attempt_has_its_client_number_and_port():
    assert ATTEMPT.owns(REQUEST)
    assert ATTEMPT.owns(headers.Headers("tcp", "10.0.0.60", 5432, "10.0.0.40", 40_000))
    assert ATTEMPT.owns(replace(REQUEST, source="10.0.0.1"))  # after MASQUERADE
    assert ATTEMPT.owns(replace(REQUEST, destination_port=9999))  # after somebody's REDIRECT


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, source_port=40_001),
        replace(REQUEST, protocol="udp"),
        replace(REQUEST, source="10.0.0.30"),  # another client with the same number
        replace(REQUEST, source="10.0.0.1", destination_port=6379),  # one of this host's own
        headers.Headers("tcp", "10.0.0.60", 40_000, "10.0.0.40", 5432),
    ],
)
def test_a_packet_of_another_connection_is_not_the_attempts(other: headers.Headers):
    assert not ATTEMPT.owns(other)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", bytes(19), packet(6, b"123"), packet(47, bytes(8)), packet(6, bytes(8), 0x65)),
        packet(1, struct.pack(">BBH4s", 5, 1, 0, bytes((172, 20, 0, 1)))),  # an ICMP redirect
    ],
)
def test_what_is_no_whole_head_is_none(data: bytes):
    assert headers.read(data) is None
    assert headers.read_frame(bytes(12) + b"\x86\xdd" + data) is None

"""A packet's ends are read, and what is no whole head is refused."""

from __future__ import annotations

import struct

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
    assert read.carries(40_000)
    assert not read.carries(40_001)


def test_a_ping_has_its_identifier_at_both_ends():
    read = headers.read(packet(1, struct.pack(">BBHHH", 8, 0, 0, 777, 1)))
    assert read is not None
    assert (read.source_port, read.destination_port) == (777, 777)
    assert str(read) == "10.0.0.40 > 10.0.0.60"


@pytest.mark.parametrize(
    "data",
    [b"", bytes(19), packet(6, b"123"), packet(47, bytes(8)), packet(6, bytes(8), 0x65)],
)
def test_what_is_no_whole_head_is_none(data: bytes):
    assert headers.read(data) is None
    assert headers.read_frame(bytes(12) + b"\x86\xdd" + data) is None

"""A denied packet is read with its prefix, its ends and its port."""

from __future__ import annotations

import struct

import pytest

from twinstack.linux import nflog
from twinstack.linux.netlink import attribute, pack, text
from twinstack.linux.nflog import NFULA, NFULNL, DeniedPacket


def ipv4(protocol: int, payload: bytes, options: bytes = b"") -> bytes:
    header = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, 40, 1, 0, 64, protocol, 0)
    return header + bytes([10, 0, 0, 1, 10, 0, 0, 2]) + options + payload


def logged(packet: bytes) -> bytes:
    body = bytes(4) + text(NFULA.PREFIX, "twinstack:x net") + attribute(NFULA.PAYLOAD, packet)
    return pack(NFULNL.PACKET, 0, 1, body)


@pytest.mark.parametrize(
    ("packet", "protocol", "port"),
    [
        (ipv4(6, b"\x10\x00\x18\xeb"), "tcp", 6379),
        (ipv4(17, b"\x10\x00\x00\x35", options=bytes(8)), "udp", 53),
        (ipv4(1, b"\x08\x00\x00\x00"), "icmp", 0),
        (ipv4(6, b""), "tcp", 0),
        (ipv4(99, b""), "protocol 99", 0),
    ],
)
def test_a_packet_is_read_with_its_ends_and_port(packet: bytes, protocol: str, port: int):
    expected = DeniedPacket("twinstack:x net", "10.0.0.1", "10.0.0.2", protocol, port)
    assert list(nflog.packets(logged(packet) + logged(packet))) == [expected] * 2


@pytest.mark.parametrize("packet", [b"", bytes(20), b"\x60" + bytes(39)])
def test_what_is_no_ipv4_packet_is_left_out(packet: bytes):
    assert list(nflog.packets(logged(packet))) == []

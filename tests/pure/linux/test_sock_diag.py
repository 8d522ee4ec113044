"""A socket is read as the kernel lays it out."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from twinstack.linux import sock_diag
from twinstack.linux.sock_diag import TcpSocket


@pytest.mark.parametrize("address", ["10.0.0.30", "2001:db8::1"])
def test_a_socket_is_read_as_the_kernel_lays_it_out(address: str):
    raw = ip_address(address).packed
    family = 2 if len(raw) == 4 else 10
    body = struct.pack("=BBBB", family, 10, 0, 0) + struct.pack("!HH", 5000, 0)
    body += raw.ljust(16, b"\0") + bytes(16) + bytes(12)
    body += struct.pack("=IIIII", 0, 3, 128, 0, 0)
    expected = TcpSocket("LISTEN", raw, 5000, bytes(len(raw)), 0, 3, 128)
    assert sock_diag.read_socket(memoryview(body)) == expected


def test_a_state_without_a_name_is_shown_by_its_number():
    body = struct.pack("=BB", 2, 99).ljust(72, b"\0")
    assert sock_diag.read_socket(memoryview(body)).state == "state 99"

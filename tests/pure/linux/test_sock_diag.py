"""A socket is read as inet_diag.h lays it out."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from twinstack.linux import sock_diag
from twinstack.linux.sock_diag import Socket


def test_a_socket_is_read_as_the_kernel_lays_it_out():
    body = struct.pack("=BBBB", 2, 10, 0, 0) + struct.pack("!HH", 5000, 0)
    body += ip_address("10.0.0.30").packed.ljust(16, b"\0") + bytes(16) + bytes(12)
    body += struct.pack("=IIIII", 0, 3, 128, 0, 0)
    assert sock_diag.read_socket(memoryview(body)) == Socket(
        "LISTEN", ip_address("10.0.0.30").packed, 5000, bytes(4), 0, 3, 128
    )

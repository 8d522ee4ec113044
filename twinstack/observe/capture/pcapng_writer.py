"""Captured packets as pcapng: the blocks of a file, and its packets straight from a ring; pure.

Each file has one section and one interface, with the interface's name and nanoseconds.
Source: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/
"""

from __future__ import annotations

import struct
from functools import cache

from twinstack.linux.packet_ring import HEADER, TAG, TAGGED

_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_BYTE_ORDER = 0x1A2B3C4D
_ETHERNET = 1
_PROGRAM = b"twinstack"
_PACKET_HEAD = struct.Struct("<7I")
_LOW = 0xFFFFFFFF
_BILLION = 1_000_000_000
_MAC_BYTES = 12


def header(name: str, description: str, snap: int) -> bytes:
    """Give what a file begins with. Units: snap in bytes, 0 when packets are whole."""
    section = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1) + _option(4, _PROGRAM) + _option(0, b"")
    interface = struct.pack("<HHI", _ETHERNET, 0, snap)
    interface += _option(2, name.encode()) + _option(3, description.encode())
    interface += _option(9, bytes([9])) + _option(0, b"")
    return _block(_SECTION, section) + _block(_INTERFACE, interface)


def statistics(time_ns: int, received: int, dropped: int) -> bytes:
    """Give what a file ends with: how many packets its interface gave, and the kernel dropped."""
    body = struct.pack("<III", 0, time_ns >> 32, time_ns & _LOW)
    body += _option(4, struct.pack("<Q", received)) + _option(5, struct.pack("<Q", dropped))
    return _block(_STATISTICS, body + _option(0, b""))


def packets(memory: memoryview, count: int, at: int) -> tuple[bytes, int]:
    """Give a ring's packets as blocks of a file, and how many bytes they had on the wire."""
    parts: list[bytes | memoryview] = []
    wire = 0
    read, head = HEADER.unpack_from, _PACKET_HEAD.pack
    for _ in range(count):
        following, seconds, ns, kept, length, status, frame = read(memory, at)
        start = at + frame
        data: bytes | memoryview = memory[start : start + kept]
        if status & TAGGED:
            data = tagged(memory, at, bytes(data))
            kept, length = kept + 4, length + 4
        time_ns = seconds * _BILLION + ns
        tail = _tail(kept)
        parts += (
            head(_PACKET, 28 + kept + len(tail), 0, time_ns >> 32, time_ns & _LOW, kept, length),
            data,
            tail,
        )
        wire += length
        at += following
    return b"".join(parts), wire


def tagged(memory: memoryview, at: int, data: bytes) -> bytes:
    """Put a VLAN tag back that the kernel keeps beside the frame whose header is at `at`."""
    control, kind = TAG.unpack_from(memory, at)
    tag = struct.pack(">HH", kind or 0x8100, control & 0xFFFF)
    return data[:_MAC_BYTES] + tag + data[_MAC_BYTES:]


@cache
def _tail(kept: int) -> bytes:
    """Give what follows a packet of so many bytes: padding, and the block's size once more."""
    padding = -kept % 4
    return bytes(padding) + struct.pack("<I", 32 + kept + padding)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)

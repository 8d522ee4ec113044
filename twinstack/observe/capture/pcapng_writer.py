"""Captured packets as pcapng: the blocks of a file, and packets straight from a ring. Pure.

Each file has one section and one interface, with the interface's name and nanoseconds.
"""

from __future__ import annotations

import struct
from functools import cache

from twinstack.linux.packet_ring import TP_STATUS_VLAN_VALID, TPACKET3_HDR, VLAN_TAG
from twinstack.observe import pcapng_spec as spec

_LINKTYPE_ETHERNET = 1
_PROGRAM = b"twinstack"
_PACKET_HEAD = struct.Struct("<7I")
_LOW = 0xFFFFFFFF
_BILLION = 1_000_000_000
_MAC_BYTES = 12
_ETH_P_8021Q = 0x8100
_END = struct.pack("<HH", spec.OPT_ENDOFOPT, 0)


def header(name: str, description: str, snap: int) -> bytes:
    """Give the beginning of a file. Units: snap in bytes, 0 when packets are whole."""
    section = struct.pack("<IHHq", spec.BYTE_ORDER_MAGIC, 1, 0, -1)
    section += _option(spec.SHB_USERAPPL, _PROGRAM) + _END
    interface = struct.pack("<HHI", _LINKTYPE_ETHERNET, 0, snap)
    interface += _option(spec.IF_NAME, name.encode())
    interface += _option(spec.IF_DESCRIPTION, description.encode())
    interface += _option(spec.IF_TSRESOL, bytes([9])) + _END
    return _block(spec.SECTION_HEADER, section) + _block(spec.INTERFACE_DESCRIPTION, interface)


def statistics(time_ns: int, received: int, dropped: int) -> bytes:
    """Give the end of a file: how many packets came to the interface, and the kernel dropped."""
    body = struct.pack("<III", 0, time_ns >> 32, time_ns & _LOW)
    body += _option(spec.ISB_IFRECV, struct.pack("<Q", received))
    body += _option(spec.ISB_IFDROP, struct.pack("<Q", dropped))
    return _block(spec.INTERFACE_STATISTICS, body + _END)


def packets(memory: memoryview, count: int, at: int) -> tuple[bytes, int]:
    """Give a ring's packets as blocks of a file, and how many bytes they had on the wire."""
    parts: list[bytes | memoryview] = []
    wire_bytes = 0
    read, head = TPACKET3_HDR.unpack_from, _PACKET_HEAD.pack
    for _ in range(count):
        following, seconds, ns, kept, length, status, frame = read(memory, at)
        start = at + frame
        data: bytes | memoryview = memory[start : start + kept]
        if status & TP_STATUS_VLAN_VALID:
            data = restore_vlan_tag(memory, at, bytes(data))
            kept, length = kept + 4, length + 4
        high, low = divmod(seconds * _BILLION + ns, 1 << 32)
        tail = _tail(kept)
        block_bytes = 28 + kept + len(tail)
        parts += (head(spec.ENHANCED_PACKET, block_bytes, 0, high, low, kept, length), data, tail)
        wire_bytes += length
        at += following
    return b"".join(parts), wire_bytes


def restore_vlan_tag(memory: memoryview, at: int, frame: bytes) -> bytes:
    """Insert the VLAN tag that the kernel keeps beside the frame, in the ring's header at `at`."""
    control, ethertype = VLAN_TAG.unpack_from(memory, at)
    tag = struct.pack(">HH", ethertype or _ETH_P_8021Q, control & 0xFFFF)
    return frame[:_MAC_BYTES] + tag + frame[_MAC_BYTES:]


@cache
def _tail(kept: int) -> bytes:
    """Give what follows a packet of this size: padding, and the block's length once more."""
    padding = -kept % 4
    return bytes(padding) + struct.pack("<I", 32 + kept + padding)


def _block(block_type: int, body: bytes) -> bytes:
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", block_type) + size + body + size


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)

"""A ring's packets are written as pcapng that our own reader and tshark read alike."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.support import craft
from twinstack.linux.packet_ring import TP_STATUS_VLAN_VALID, TPACKET3_HDR
from twinstack.observe.capture import pcapng_writer
from twinstack.observe.traffic.capture_file import open_capture

_FRAME_AT = 48
_FRAME = craft.ethernet(craft.ipv4(craft.NGINX, craft.GATEWAY, 17, craft.udp(7, 9, b"ping")))


def block(frame: bytes, length: int, status: int = 0, tag: int = 0) -> memoryview:
    """Lay a packet out as the kernel does in a ring."""
    head = TPACKET3_HDR.pack(0, 1_700_000_000, 123_456_789, len(frame), length, status, _FRAME_AT)
    return memoryview(head + bytes(6) + struct.pack("=IH", tag, 0x8100) + bytes(10) + frame)


def test_packets_are_read_back_with_time_and_length(tmp_path: Path):
    data, wire_bytes = pcapng_writer.packets(block(_FRAME, 500), 1, 0)
    file = tmp_path / "a.pcapng"
    counts = pcapng_writer.statistics(1_700_000_001_000_000_000, 8, 7)
    file.write_bytes(pcapng_writer.header("br-app", "a bridge", 128) + data + counts)
    capture = open_capture(file)
    (batch,) = capture.batches()
    assert batch.time_ns.tolist() == [1_700_000_000_123_456_789]
    assert (batch.captured.tolist(), batch.length.tolist()) == ([len(_FRAME)], [500])
    (interface,) = capture.interfaces
    assert (interface.name, interface.snap_length, interface.dropped) == ("br-app", 128, 7)
    assert wire_bytes == 500
    assert craft.tshark_counts(file) == (1, 500)


def test_a_vlan_tag_that_the_kernel_took_out_is_restored():
    memory = block(_FRAME, len(_FRAME), TP_STATUS_VLAN_VALID, tag=5)
    frame = pcapng_writer.restore_vlan_tag(memory, 0, _FRAME)
    assert frame == _FRAME[:12] + b"\x81\x00\x00\x05" + _FRAME[12:]

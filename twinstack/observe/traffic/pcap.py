"""The classic capture format: one header, then records; microseconds or nanoseconds, either order.

Source: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/
"""

from __future__ import annotations

import struct

import numpy as np

from twinstack.observe.traffic import records
from twinstack.observe.traffic.columns import gather, layout
from twinstack.observe.traffic.records import BATCH_PACKETS, PADDING

HEADER_BYTES = 24
_RECORD_BYTES = 16
#: First bytes → byte order, nanoseconds in a unit of a record's fraction.
_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}


def is_pcap(head: bytes) -> bool:
    """Recognise a file by its first bytes."""
    return head[:4] in _MAGIC


class PcapFormat:
    """Locates records. All packets of such a file are of one interface, which it does not name."""

    def __init__(self, head: bytes, interfaces: list[records.CaptureInterface], name: str) -> None:
        order, self._unit_ns = _MAGIC[head[:4]]
        snap_length, network = struct.unpack_from(f"{order}II", head, 16)
        interfaces.append(records.CaptureInterface(name, network & 0xFFFF, snap_length))
        self._length = struct.Struct(f"{order}I")
        fields = "{0}u4 seconds, {0}u4 fraction, {0}u4 captured, {0}u4 length"
        self._record = layout(fields.format(order))

    def locate(self, data: bytes, offset: int) -> records.LocatedRecords:
        """Locate whole records."""
        positions: list[int] = []
        add, length_at = positions.append, self._length.unpack_from
        at, size, damage = 0, len(data), None
        # The one loop over packets in Python: each record says where the next one begins.
        while at + _RECORD_BYTES <= size:
            (length,) = length_at(data, at + 8)
            after = at + _RECORD_BYTES + length
            if length > records.MAX_RECORD_BYTES:
                damage = records.Damage(offset + at, f"a packet there claims {length} bytes")
                break
            if after > size:
                break
            add(at)
            at = after
            if len(positions) == BATCH_PACKETS:
                break
        if not positions:
            return records.LocatedRecords(None, 0, damage)
        array = np.frombuffer(data + PADDING, np.uint8)
        starts = np.array(positions, np.int64)
        heads = gather(array, starts, self._record)
        seconds = heads["seconds"].astype(np.int64)
        fraction = heads["fraction"].astype(np.int64)
        batch = records.RecordBatch(
            data=array,
            start=starts + _RECORD_BYTES,
            captured=heads["captured"].astype(np.int64),
            length=heads["length"].astype(np.int64),
            time_ns=seconds * 1_000_000_000 + fraction * self._unit_ns,
            interface=np.zeros(len(starts), np.int64),
        )
        return records.LocatedRecords(batch, at, damage)

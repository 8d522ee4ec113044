"""The classic capture format: one header, then records; microseconds or nanoseconds, either order.

Source: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/
"""

from __future__ import annotations

import struct

import numpy as np

from twinstack.observe.traffic.reader import (
    BATCH_PACKETS,
    PADDING,
    RECORD_BYTES,
    CaptureInterface,
    Damage,
    FoundRecords,
    RecordBatch,
    gather,
)

HEADER_BYTES = 24
#: First bytes → byte order, nanoseconds in a unit of a record's fraction.
_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}


def is_pcap(head: bytes) -> bool:
    """Tell by a file's first bytes."""
    return head[:4] in _MAGIC


class PcapFormat:
    """Finds records. All packets of such a file are of one interface, which it does not name."""

    def __init__(self, head: bytes, interfaces: list[CaptureInterface], name: str) -> None:
        order, self._unit_ns = _MAGIC[head[:4]]
        snap_length, network = struct.unpack_from(f"{order}II", head, 16)
        interfaces.append(CaptureInterface(name, network & 0xFFFF, snap_length))
        self._length = struct.Struct(f"{order}I")
        word = f"{order}u4"
        self._record = np.dtype(
            [("seconds", word), ("fraction", word), ("captured", word), ("length", word)]
        )

    def packets(self, data: bytes, last: bool, offset: int) -> FoundRecords:
        """Find whole records. `last` matters nothing: what is cut off is left over."""
        places: list[int] = []
        add, length_at = places.append, self._length.unpack_from
        at, size, broken = 0, len(data), None
        # The one loop over packets in Python: where a record begins is known from the one before.
        while at + 16 <= size:
            (length,) = length_at(data, at + 8)
            after = at + 16 + length
            if length > RECORD_BYTES:
                broken = Damage(offset + at, f"a packet there claims {length} bytes")
                break
            if after > size:
                break
            add(at)
            at = after
            if len(places) == BATCH_PACKETS:
                break
        if not places:
            return FoundRecords(None, 0, broken)
        array = np.frombuffer(data + PADDING, np.uint8)
        starts = np.array(places, np.int64)
        records = gather(array, starts, self._record)
        seconds = records["seconds"].astype(np.int64)
        fraction = records["fraction"].astype(np.int64)
        return FoundRecords(
            RecordBatch(
                data=array,
                start=starts + 16,
                captured=records["captured"].astype(np.int64),
                length=records["length"].astype(np.int64),
                time_ns=seconds * 1_000_000_000 + fraction * self._unit_ns,
                interface=np.zeros(len(starts), np.int64),
            ),
            at,
            broken,
        )

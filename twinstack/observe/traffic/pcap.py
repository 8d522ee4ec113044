"""The packet records that are located in a piece of a capture file, and how in the classic format.

That has one header, then records: in microseconds or nanoseconds, in either byte order.
Source: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from twinstack.observe.traffic.columns import Bytes, Ints, gather, layout

#: A batch never holds more packets, however small they are.
BATCH_PACKETS = 1 << 15
#: Wireshark's bound too: a longer record is damage.
MAX_RECORD_BYTES = 262_144
#: Appended to every piece, so that a header read at its end stays within the array.
PADDING = bytes(64)

HEADER_BYTES = 24
_RECORD_BYTES = 16
#: First bytes → byte order, nanoseconds in a unit of a record's fraction.
_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}


@dataclass(slots=True)
class CaptureInterface:
    """An interface as a file describes it."""

    name: str
    link_type: int  # LINKTYPE_*
    snap_length: int  # in bytes; 0: unbounded
    dropped: int = 0  # packets that the capture lost, if the file has a count


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Packets of one file as they lie in `data`; each array has one element per packet."""

    data: Bytes
    start: Ints  # where the packet begins in `data`
    captured: Ints  # how many bytes of it are there
    length: Ints  # how many it had on the wire
    time_ns: Ints
    interface: Ints  # index into the file's interfaces

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class Damage:
    """Where and why reading a file stopped before its end."""

    byte: int
    cause: str


@dataclass(frozen=True, slots=True)
class LocatedRecords:
    """The records of a piece of file, how many bytes they took, and what stopped the search."""

    batch: RecordBatch | None
    used: int
    damage: Damage | None = None


def is_pcap(head: bytes) -> bool:
    """Recognise a file by its first bytes."""
    return head[:4] in _MAGIC


class PcapFormat:
    """Locates  All packets of such a file are of one interface, which it does not name."""

    def __init__(self, head: bytes, interfaces: list[CaptureInterface], name: str) -> None:
        order, self._unit_ns = _MAGIC[head[:4]]
        snap_length, network = struct.unpack_from(f"{order}II", head, 16)
        interfaces.append(CaptureInterface(name, network & 0xFFFF, snap_length))
        self._length = struct.Struct(f"{order}I")
        fields = "{0}u4 seconds, {0}u4 fraction, {0}u4 captured, {0}u4 length"
        self._record = layout(fields.format(order))

    def locate(self, data: bytes, offset: int) -> LocatedRecords:
        """Locate whole"""
        positions: list[int] = []
        add, length_at = positions.append, self._length.unpack_from
        at, size, damage = 0, len(data), None
        # The one loop over packets in Python: each record says where the next one begins.
        while at + _RECORD_BYTES <= size:
            (length,) = length_at(data, at + 8)
            after = at + _RECORD_BYTES + length
            if length > MAX_RECORD_BYTES:
                damage = Damage(offset + at, f"a packet there claims {length} bytes")
                break
            if after > size:
                break
            add(at)
            at = after
            if len(positions) == BATCH_PACKETS:
                break
        if not positions:
            return LocatedRecords(None, 0, damage)
        array = np.frombuffer(data + PADDING, np.uint8)
        starts = np.array(positions, np.int64)
        heads = gather(array, starts, self._record)
        seconds = heads["seconds"].astype(np.int64)
        fraction = heads["fraction"].astype(np.int64)
        batch = RecordBatch(
            data=array,
            start=starts + _RECORD_BYTES,
            captured=heads["captured"].astype(np.int64),
            length=heads["length"].astype(np.int64),
            time_ns=seconds * 1_000_000_000 + fraction * self._unit_ns,
            interface=np.zeros(len(starts), np.int64),
        )
        return LocatedRecords(batch, at, damage)

"""What pcap and pcapng share: packet records located in a piece of a file. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twinstack.observe.traffic.columns import Bytes, Ints

#: A batch never holds more packets, however small they are.
BATCH_PACKETS = 1 << 15
#: Wireshark's bound too: a longer record is damage.
MAX_RECORD_BYTES = 262_144
#: Appended to every piece, so that a header read at its end stays within the array.
PADDING = bytes(64)


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


class RecordFormat(Protocol):
    """Locates the records of one file format."""

    def locate(self, data: bytes, offset: int) -> LocatedRecords:
        """Locate the whole records at the beginning of `data`, which is at `offset` in the file."""

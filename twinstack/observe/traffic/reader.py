"""Capture files as batches of packets, in constant memory: what pcap and pcapng have in common.

`open_capture` recognises a file by its first bytes and gives a `CaptureFile` that is read in
batches. `pcap` and `pcapng` find the packets in a piece of a file; decoding them is up to `decode`.
A damaged file is read up to the damage; `damage` has the place and the cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from twinstack.errors import Unreadable

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

#: Read at a time. More makes larger arrays, hence more memory; less makes more of them.
PIECE_BYTES = 4 << 20
#: A batch never holds more packets, however small they are.
BATCH_PACKETS = 1 << 15
#: Wireshark's bound too: a longer record is a broken one.
RECORD_BYTES = 262_144
#: Of a pcapng block, which may be no packet.
BLOCK_BYTES = 16 << 20
#: Behind every piece, so that a header read at its end never leaves the array.
PADDING = bytes(64)

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(slots=True)
class CaptureInterface:
    """Where packets were captured. `dropped`: packets that the capturing lost, if it said so.

    `link` is a LINKTYPE number. Units: snap_length in bytes, 0 when unbounded.
    Source: https://www.tcpdump.org/linktypes.html
    """

    name: str
    link: int
    snap_length: int
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Packets of one file as they lie in `data`; every array has one element for each packet.

    `start` is where a packet begins in `data`, `captured` how many bytes of it are there, `length`
    how many it had, `interface` the index of its interface in its CaptureFile.
    """

    data: Bytes
    start: Ints
    captured: Ints
    length: Ints
    time_ns: Ints
    interface: Ints

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class Damage:
    """Why a file cannot be read past some byte."""

    byte: int
    cause: str


class RecordFormat(Protocol):
    """What finds the packets in a piece of a file."""

    def packets(self, data: bytes, last: bool, offset: int) -> FoundRecords:
        """Find whole packets from the beginning of `data`; `offset` is where that lies in the file.

        `last` says that no more will follow.
        """


@dataclass(frozen=True, slots=True)
class FoundRecords:
    """What was found in a piece: the packets, how many bytes they took, and whether it broke."""

    batch: RecordBatch | None
    used: int
    broken: Damage | None = None


@dataclass(slots=True)
class CaptureFile:
    """An open capture file. `interfaces` grows while it is read."""

    path: Path
    interfaces: list[CaptureInterface]
    broken: Damage | None = None
    _format: RecordFormat = field(repr=False, default=None)  # type: ignore[assignment]
    _file: BinaryIO = field(repr=False, default=None)  # type: ignore[assignment]
    _head: bytes = field(repr=False, default=b"")
    _begins: int = 0

    def batches(self, piece_bytes: int = PIECE_BYTES) -> Iterator[RecordBatch]:
        """Give the packets in the file's order. Raises: OSError."""
        data, offset, more, want = self._head, self._begins, True, piece_bytes
        with self._file as file:
            while True:
                piece = file.read(want) if more else b""
                more = bool(piece)
                data = data + piece if data else piece
                found = self._format.packets(data, not more, offset)
                if found.batch is not None and len(found.batch):
                    yield found.batch
                if found.broken is not None:
                    self.broken = found.broken
                    return
                offset += found.used
                data = data[found.used :]
                if not more and not found.used:
                    if data:
                        self.broken = Damage(offset, "it ends in the middle of a record")
                    return
                want = max(piece_bytes - len(data), 1) if found.used else piece_bytes

    def close(self) -> None:
        """Close the file early."""
        self._file.close()


def open_capture(path: Path) -> CaptureFile:
    """Open a capture by what it is, whatever it is called.

    Raises: Unreadable when it is none, or has not even a header; OSError.
    """
    from twinstack.observe.traffic import pcap, pcapng  # they give what this module names

    file = path.open("rb")
    try:
        head = file.read(pcap.HEADER_BYTES)
        if not head:
            raise Unreadable(str(path), "cannot be read", "it is empty", "capture anew")
        opened = CaptureFile(path, [], _file=file)
        if pcap.is_pcap(head):
            if len(head) < pcap.HEADER_BYTES:
                raise _cut_off(path)
            opened._format = pcap.PcapFormat(head, opened.interfaces, path.stem)
            opened._begins = pcap.HEADER_BYTES
        elif pcapng.is_pcapng(head):
            if len(head) < pcap.HEADER_BYTES:
                raise _cut_off(path)
            opened._format, opened._head = pcapng.PcapngFormat(opened.interfaces, path.stem), head
        else:
            raise _no_capture(path, head)
    except BaseException:
        file.close()
        raise
    return opened


def _cut_off(path: Path) -> Unreadable:
    return Unreadable(
        str(path), "cannot be read", "it ends within its first header", "capture anew"
    )


def _no_capture(path: Path, head: bytes) -> Unreadable:
    for magic, program in ((_GZIP, "gunzip"), (_ZSTD, "unzstd")):
        if head.startswith(magic):
            return Unreadable(
                str(path), "cannot be read", "it is compressed", f'unpack it with "{program}"'
            )
    return Unreadable(
        str(path), "is no capture", f"it begins with {head[:4].hex(' ')}", "give pcap or pcapng"
    )


def gather(data: Bytes, positions: Ints, header: np.dtype[np.void]) -> NDArray[np.void]:
    """Copy the header that begins at each position: one element each, with the header's fields.

    Positions must leave room for a header before the end of `data`.
    """
    size = header.itemsize
    if len(data) < size:
        data = np.concatenate([data, np.zeros(size, np.uint8)])
    plain = np.ndarray((len(data) - size + 1,), f"V{size}", data, strides=(1,))
    return plain[positions].view(header)

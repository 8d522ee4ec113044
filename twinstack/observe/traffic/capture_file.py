"""Open a capture file and read it in batches of packet records, in constant memory.

`pcap` and `pcapng` locate the records in each piece of the file; `decode` looks into the packets.
A damaged file is read up to the damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from twinstack.errors import Unreadable
from twinstack.observe.traffic import pcap, pcapng
from twinstack.observe.traffic.pcap import CaptureInterface, Damage, RecordBatch

#: Read at a time. Larger pieces take more memory; smaller ones more time.
PIECE_BYTES = 4 << 20

_COMPRESSED = {b"\x1f\x8b": "gunzip", b"\x28\xb5\x2f\xfd": "unzstd"}


@dataclass(slots=True)
class CaptureFile:
    """An open capture. `interfaces` grows, and `damage` is set, while it is read."""

    path: Path
    interfaces: list[CaptureInterface]
    _format: pcap.PcapFormat | pcapng.PcapngFormat
    _file: BinaryIO
    _head: bytes = b""  # read before, and not yet searched for records
    _offset: int = 0
    damage: Damage | None = None

    def batches(self, piece_bytes: int = PIECE_BYTES) -> Iterator[RecordBatch]:
        """Yield the packets in the file's order. Raises: OSError."""
        data, offset, more, want = self._head, self._offset, True, piece_bytes
        with self._file as file:
            while True:
                piece = file.read(want) if more else b""
                more = bool(piece)
                data = data + piece if data else piece
                located = self._format.locate(data, offset)
                if located.batch is not None and len(located.batch):
                    yield located.batch
                if located.damage is not None:
                    self.damage = located.damage
                    return
                offset += located.used
                data = data[located.used :]
                if not more and not located.used:
                    if data:
                        self.damage = Damage(offset, "it ends in the middle of a record")
                    return
                want = max(piece_bytes - len(data), 1) if located.used else piece_bytes

    def close(self) -> None:
        """Close the file early."""
        self._file.close()


def open_capture(path: Path) -> CaptureFile:
    """Open a capture by its first bytes, whatever its name.

    Raises: Unreadable when it is no capture, or shorter than a header; OSError.
    """
    file = path.open("rb")
    try:
        return _open(path, file)
    except BaseException:
        file.close()
        raise


def _open(path: Path, file: BinaryIO) -> CaptureFile:
    head = file.read(pcap.HEADER_BYTES)
    if not head:
        raise _unreadable(path, "it is empty", "capture again")
    for magic, program in _COMPRESSED.items():
        if head.startswith(magic):
            raise _unreadable(path, "it is compressed", f'unpack it with "{program}"')
    if not pcap.is_pcap(head) and not pcapng.is_pcapng(head):
        cause = f"it is not a capture (it begins with {head[:4].hex(' ')})"
        raise _unreadable(path, cause, "pass a pcap or pcapng file")
    if len(head) < pcap.HEADER_BYTES:
        raise _unreadable(path, "it ends within its first header", "capture again")
    interfaces: list[CaptureInterface] = []
    if pcap.is_pcap(head):
        form = pcap.PcapFormat(head, interfaces, path.stem)
        return CaptureFile(path, interfaces, form, file, _offset=pcap.HEADER_BYTES)
    return CaptureFile(path, interfaces, pcapng.PcapngFormat(interfaces, path.stem), file, head)


def _unreadable(path: Path, cause: str, remedy: str) -> Unreadable:
    return Unreadable(str(path), "cannot be read", cause, remedy)

"""The newer capture format: blocks in sections, several interfaces, each with its own clock.

Read are packets (enhanced, simple and old blocks), interfaces and their drop counts; other blocks
are skipped. Source: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from twinstack.observe import pcapng_spec as spec
from twinstack.observe.traffic import pcap
from twinstack.observe.traffic.columns import Hashes, Ints, gather, layout
from twinstack.observe.traffic.pcap import BATCH_PACKETS, PADDING

_SECTION = spec.SECTION_HEADER
_SECTION_BYTES = 28
#: Least bytes of each block that holds a packet.
_PACKET_BYTES = {spec.ENHANCED_PACKET: 32, spec.SIMPLE_PACKET: 16, spec.OLD_PACKET: 32}
_MAX_BLOCK_BYTES = 16 << 20
_MAX_INTERFACES = 65_536
_ORDERS = {struct.pack(f"{order}I", spec.BYTE_ORDER_MAGIC): order for order in "<>"}
_BILLION = 1_000_000_000
_LATEST_NS = (1 << 62) - 1


def is_pcapng(head: bytes) -> bool:
    """Recognise a file by its first bytes."""
    return head[:4] == _SECTION.to_bytes(4)


@dataclass(frozen=True, slots=True)
class _Clock:
    """How an interface counts time."""

    per_s: int  # ticks in a second: a power of 10, or of 2
    offset_s: int

    def ns(self, ticks: Hashes) -> Ints:
        unit_ns, rest = divmod(_BILLION, self.per_s)
        if not rest and not self.offset_s and ticks.max() <= np.uint64(_LATEST_NS // unit_ns):
            return ticks.astype(np.int64) * unit_ns
        # Other clocks are rare, and their numbers may need more than 64 bits: Python's have them.
        ns = ticks.astype(object) * _BILLION // self.per_s + self.offset_s * _BILLION
        exact: Ints = np.clip(ns, 0, _LATEST_NS).astype(np.int64)
        return exact


class _DamagedBlock(Exception):
    """A block contradicts itself."""


class PcapngFormat:
    """Locates blocks. Each section has its own byte order and interfaces."""

    def __init__(self, interfaces: list[pcap.CaptureInterface], name: str) -> None:
        self._interfaces = interfaces
        self._clocks: list[_Clock] = []
        self._file_name = name
        self._order = "<"
        self._first = 0  # the section's first interface
        self._latest_ns = 0  # simple blocks have no time: they get that of the packet before

    def locate(self, data: bytes, offset: int) -> pcap.LocatedRecords:
        """Locate whole blocks, up to a new section: its packets are for the next call."""
        positions: list[int] = []
        types: list[int] = []
        add, add_type = positions.append, types.append
        at, size, damage = 0, len(data), None
        head_at = struct.Struct(f"{self._order}II").unpack_from
        try:
            while at + 12 <= size:
                block_type, length = head_at(data, at)
                if block_type == _SECTION:
                    if positions:
                        break
                    used = self._section(data, at)
                    if not used:
                        break
                    at += used
                    head_at = struct.Struct(f"{self._order}II").unpack_from
                    continue
                if length < 12 or length % 4 or length > _MAX_BLOCK_BYTES:
                    raise _DamagedBlock(f"a block there claims {length} bytes")
                after = at + length
                if after > size:
                    break
                if block_type in _PACKET_BYTES:
                    if length < _PACKET_BYTES[block_type]:
                        raise _DamagedBlock(f"a packet block of {length} bytes is too short")
                    add(at)
                    add_type(block_type)
                elif block_type == spec.INTERFACE_DESCRIPTION:
                    self._interface(data, at, length)
                elif block_type == spec.INTERFACE_STATISTICS:
                    self._statistics(data, at, length)
                at = after
                if len(positions) == BATCH_PACKETS:
                    break
        except _DamagedBlock as error:
            damage = pcap.Damage(offset + at, str(error))
        if not positions:
            return pcap.LocatedRecords(None, at, damage)
        batch, good = self._batch(data, np.array(positions, np.int64), np.array(types, np.int64))
        if good < len(positions):
            damage = pcap.Damage(
                offset + positions[good], "a packet block there contradicts itself"
            )
        return pcap.LocatedRecords(batch, at, damage)

    def _section(self, data: bytes, at: int) -> int:
        """Begin a section, and give the length of its header; 0 when that is not whole yet."""
        if at + _SECTION_BYTES > len(data):
            return 0
        order = _ORDERS.get(data[at + 8 : at + 12])
        if order is None:
            raise _DamagedBlock("a section there is of no known byte order")
        length, _, major = struct.unpack_from(f"{order}IIH", data, at + 4)
        if length < _SECTION_BYTES or length % 4 or length > _MAX_BLOCK_BYTES:
            raise _DamagedBlock(f"a section header there claims {length} bytes")
        if at + length > len(data):
            return 0
        if major != 1:
            raise _DamagedBlock(f"a section there is of version {major}, not 1")
        self._order = order
        self._first = len(self._interfaces)
        return int(length)

    def _interface(self, data: bytes, at: int, length: int) -> None:
        if length < 20:
            raise _DamagedBlock(f"an interface block of {length} bytes is too short")
        if len(self._interfaces) == _MAX_INTERFACES:
            raise _DamagedBlock(f"it names more than {_MAX_INTERFACES} interfaces")
        link_type, _, snap_length = struct.unpack_from(f"{self._order}HHI", data, at + 8)
        name, per_s, offset_s = "", 10**6, 0
        for code, value in self._options(data, at + 16, at + length - 4):
            if code == spec.IF_NAME:
                name = value.rstrip(b"\0").decode("utf-8", "replace")
            elif code == spec.IF_TSRESOL and value:
                per_s = 1 << (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
            elif code == spec.IF_TSOFFSET and len(value) == 8:
                (offset_s,) = struct.unpack(f"{self._order}q", value)
        number = len(self._interfaces) - self._first
        name = name or (f"{self._file_name}#{number}" if number else self._file_name)
        self._interfaces.append(pcap.CaptureInterface(name, link_type, snap_length))
        self._clocks.append(_Clock(per_s, offset_s))

    def _statistics(self, data: bytes, at: int, length: int) -> None:
        if length < 24:
            raise _DamagedBlock(f"a statistics block of {length} bytes is too short")
        (number,) = struct.unpack_from(f"{self._order}I", data, at + 8)
        number += self._first
        if number >= len(self._interfaces):
            return
        for code, value in self._options(data, at + 20, at + length - 4):
            if code == spec.ISB_IFDROP and len(value) == 8:  # since the beginning of the capture
                (self._interfaces[number].dropped,) = struct.unpack(f"{self._order}Q", value)

    def _options(self, data: bytes, at: int, end: int) -> Iterator[tuple[int, bytes]]:
        while at + 4 <= end:
            code, length = struct.unpack_from(f"{self._order}HH", data, at)
            if code == spec.OPT_ENDOFOPT or at + 4 + length > end:
                return
            yield code, data[at + 4 : at + 4 + length]
            at += 4 + (length + 3) // 4 * 4

    def _batch(self, data: bytes, positions: Ints, types: Ints) -> tuple[pcap.RecordBatch, int]:
        """Read the blocks' headers; also gives how many come before one that cannot be."""
        array = np.frombuffer(data + PADDING, np.uint8)
        names = ("type", "total", "interface", "high", "low", "captured", "length")
        block = layout(", ".join(f"{self._order}u4 {name}" for name in names))
        heads = gather(array, positions, block)
        total = heads["total"].astype(np.int64)
        interface = heads["interface"].astype(np.int64)
        captured = heads["captured"].astype(np.int64)
        length = heads["length"].astype(np.int64)
        start, room = positions + 28, total - 32
        ticks = heads["high"].astype(np.uint64) << np.uint64(32) | heads["low"]
        old, simple = types == spec.OLD_PACKET, types == spec.SIMPLE_PACKET
        if old.any():  # 16 bits of interface, then 16 of drops
            half = np.int64(16) if self._order == ">" else np.int64(0)
            interface[old] = interface[old] >> half & 0xFFFF
        if simple.any():  # of the section's first interface, and cut to its snap length
            interface[simple] = 0
            length[simple] = heads["interface"][simple]
            start[simple], room[simple] = positions[simple] + 12, total[simple] - 16
        interface += self._first
        known = len(self._interfaces)
        good = interface < known
        if simple.any() and known > self._first:
            snap = self._interfaces[self._first].snap_length or pcap.MAX_RECORD_BYTES
            captured[simple] = np.minimum(np.minimum(length[simple], snap), room[simple])
        good &= (captured <= room) & (captured <= pcap.MAX_RECORD_BYTES)
        ends = gather(array, positions + total - 4, layout(f"{self._order}u4 total"))["total"]
        good &= ends == total
        count = len(positions) if good.all() else int(np.argmin(good))
        kept = slice(0, count)
        interface = interface[kept]
        time_ns = np.zeros(count, np.int64)
        for number in np.unique(interface):
            rows = interface == number
            time_ns[rows] = self._clocks[number].ns(ticks[kept][rows])
        if simple.any():
            before = np.maximum.accumulate(np.where(simple[kept], -1, np.arange(count)))
            before_ns = np.where(before < 0, self._latest_ns, time_ns[before])
            time_ns[simple[kept]] = before_ns[simple[kept]]
        if count:
            self._latest_ns = int(time_ns[-1])
        batch = pcap.RecordBatch(
            array, start[kept], captured[kept], length[kept], time_ns, interface
        )
        return batch, count

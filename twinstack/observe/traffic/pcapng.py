"""The newer capture format: blocks in sections, several interfaces, each with its own clock.

Packets are in enhanced, simple and (old) packet blocks; of the rest, interfaces and their drop
counts are read, and everything else is passed over.
Source: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinstack.observe.traffic.reader import (
    BATCH_PACKETS,
    BLOCK_BYTES,
    PADDING,
    RECORD_BYTES,
    CaptureInterface,
    Damage,
    FoundRecords,
    Ints,
    RecordBatch,
    gather,
)

_SECTION, _INTERFACE, _OLD, _SIMPLE, _STATISTICS, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 5, 6
_PACKETS = {_ENHANCED: 32, _SIMPLE: 16, _OLD: 32}  # and the least bytes of each
_FIELDS = ("kind", "total", "interface", "high", "low", "captured", "length")
_MAGIC = b"\x0a\x0d\x0d\x0a"
_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_INTERFACES = 65_536
_BILLION = 1_000_000_000
_LATEST_NS = (1 << 62) - 1


def is_pcapng(head: bytes) -> bool:
    """Tell by a file's first bytes."""
    return head[:4] == _MAGIC


@dataclass(frozen=True, slots=True)
class _Clock:
    """How an interface counts time: `base` to the power of -`exponent` seconds."""

    base: int
    exponent: int
    offset_s: int

    def ns(self, ticks: NDArray[np.uint64]) -> Ints:
        if self.base == 10:
            power = self.exponent - 9
            if power > 18:
                ns = np.zeros(len(ticks), np.uint64)
            elif power >= 0:
                ns = ticks // np.uint64(10**power)
            else:
                unit = np.uint64(10**-power)
                ns = np.minimum(ticks, np.uint64(_LATEST_NS) // unit) * unit
        else:
            kept = min(self.exponent, 33)  # beyond that a tick is less than a nanosecond
            ticks = ticks >> np.uint64(min(self.exponent - kept, 63))
            seconds = ticks >> np.uint64(kept)
            fraction = (ticks & np.uint64((1 << kept) - 1)) * np.uint64(_BILLION)
            whole = np.minimum(seconds, np.uint64(_LATEST_NS // _BILLION)) * np.uint64(_BILLION)
            ns = whole + (fraction >> np.uint64(kept))
        shift = max(min(self.offset_s * _BILLION, _LATEST_NS), -_LATEST_NS)
        return np.clip(
            np.minimum(ns, np.uint64(_LATEST_NS)).astype(np.int64) + shift, 0, _LATEST_NS
        )


class _BrokenBlock(Exception):
    """A block contradicts itself."""


class PcapngFormat:
    """Finds blocks. A section begins anew: its byte order, its interfaces."""

    def __init__(self, interfaces: list[CaptureInterface], name: str) -> None:
        self._interfaces = interfaces
        self._clocks: list[_Clock] = []
        self._file_name = name
        self._order = "<"
        self._first = 0  # the section's first interface
        self._latest_ns = 0  # a simple block has no time: it gets that of the packet before

    def packets(self, data: bytes, last: bool, offset: int) -> FoundRecords:
        """Find whole blocks, up to a new section: its packets are for the next call."""
        places: list[int] = []
        kinds: list[int] = []
        add, add_kind = places.append, kinds.append
        at, size, broken = 0, len(data), None
        head_at = struct.Struct(f"{self._order}II").unpack_from
        try:
            while at + 12 <= size:
                kind, length = head_at(data, at)
                if kind == _SECTION:
                    if places:
                        break
                    used = self._section(data, at)
                    if not used:
                        break
                    at += used
                    head_at = struct.Struct(f"{self._order}II").unpack_from
                    continue
                if length < 12 or length % 4 or length > BLOCK_BYTES:
                    raise _BrokenBlock(f"a block there claims {length} bytes")
                after = at + length
                if after > size:
                    break
                if kind in _PACKETS:
                    if length < _PACKETS[kind]:
                        raise _BrokenBlock(f"a packet block of {length} bytes is too short")
                    add(at)
                    add_kind(kind)
                elif kind == _INTERFACE:
                    self._interface(data, at, length)
                elif kind == _STATISTICS:
                    self._statistics(data, at, length)
                at = after
                if len(places) == BATCH_PACKETS:
                    break
        except _BrokenBlock as error:
            broken = Damage(offset + at, str(error))
        if not places:
            return FoundRecords(None, at, broken)
        batch, good = self._batch(data, np.array(places, np.int64), np.array(kinds, np.int64))
        if good < len(places):
            broken = Damage(offset + places[good], "a packet block there contradicts itself")
        return FoundRecords(batch, at, broken)

    def _section(self, data: bytes, at: int) -> int:
        """Begin a section; 0 when it is not whole yet."""
        if at + 28 > len(data):
            return 0
        order = _ORDERS.get(data[at + 8 : at + 12])
        if order is None:
            raise _BrokenBlock("a section there is of no known byte order")
        (length,) = struct.unpack_from(f"{order}I", data, at + 4)
        if length < 28 or length % 4 or length > BLOCK_BYTES:
            raise _BrokenBlock(f"a section header there claims {length} bytes")
        if at + length > len(data):
            return 0
        (major,) = struct.unpack_from(f"{order}H", data, at + 12)
        if major != 1:
            raise _BrokenBlock(f"a section there is of version {major}, not 1")
        self._order = order
        self._first = len(self._interfaces)
        return int(length)

    def _interface(self, data: bytes, at: int, length: int) -> None:
        if length < 20:
            raise _BrokenBlock(f"an interface block of {length} bytes is too short")
        if len(self._interfaces) == _INTERFACES:
            raise _BrokenBlock(f"it names more than {_INTERFACES} interfaces")
        link, _, snap_length = struct.unpack_from(f"{self._order}HHI", data, at + 8)
        name, base, exponent, offset_s = "", 10, 6, 0
        for code, value in self._options(data, at + 16, at + length - 4):
            if code == 2:
                name = value.rstrip(b"\0").decode("utf-8", "replace")
            elif code == 9 and value:
                base, exponent = (2, value[0] & 0x7F) if value[0] & 0x80 else (10, value[0])
            elif code == 14 and len(value) == 8:
                (offset_s,) = struct.unpack(f"{self._order}q", value)
        number = len(self._interfaces) - self._first
        name = name or (f"{self._file_name}#{number}" if number else self._file_name)
        self._interfaces.append(CaptureInterface(name, link, snap_length))
        self._clocks.append(_Clock(base, exponent, offset_s))

    def _statistics(self, data: bytes, at: int, length: int) -> None:
        if length < 24:
            raise _BrokenBlock(f"a statistics block of {length} bytes is too short")
        (number,) = struct.unpack_from(f"{self._order}I", data, at + 8)
        number += self._first
        if number >= len(self._interfaces):
            return
        for code, value in self._options(data, at + 20, at + length - 4):
            if code == 5 and len(value) == 8:  # isb_ifdrop: so far, not since the last block
                (self._interfaces[number].dropped,) = struct.unpack(f"{self._order}Q", value)

    def _options(self, data: bytes, at: int, end: int) -> Iterator[tuple[int, bytes]]:
        while at + 4 <= end:
            code, length = struct.unpack_from(f"{self._order}HH", data, at)
            if code == 0 or at + 4 + length > end:
                return
            yield code, data[at + 4 : at + 4 + length]
            at += 4 + (length + 3) // 4 * 4

    def _batch(self, data: bytes, places: Ints, kinds: Ints) -> tuple[RecordBatch, int]:
        """Read the packets' own headers; how many there are before one that cannot be."""
        array = np.frombuffer(data + PADDING, np.uint8)
        word = f"{self._order}u4"
        block = np.dtype([(name, word) for name in _FIELDS])
        heads = gather(array, places, block)
        total = heads["total"].astype(np.int64)
        interface = heads["interface"].astype(np.int64)
        captured = heads["captured"].astype(np.int64)
        length = heads["length"].astype(np.int64)
        start, room = places + 28, total - 32
        ticks = heads["high"].astype(np.uint64) << np.uint64(32) | heads["low"]
        old, simple = kinds == _OLD, kinds == _SIMPLE
        if old.any():  # its interface has two bytes, then two of drops
            half = np.int64(16) if self._order == ">" else np.int64(0)
            interface[old] = interface[old] >> half & 0xFFFF
        if simple.any():  # of the section's first interface, whose snap length cut it
            interface[simple] = 0
            length[simple] = heads["interface"][simple]
            start[simple], room[simple] = places[simple] + 12, total[simple] - 16
        interface += self._first
        known = len(self._interfaces)
        good = interface < known
        if simple.any() and known > self._first:
            snap = self._interfaces[self._first].snap_length or RECORD_BYTES
            captured[simple] = np.minimum(np.minimum(length[simple], snap), room[simple])
        good &= (captured <= room) & (captured <= RECORD_BYTES)
        ends = gather(array, places + total - 4, np.dtype([("total", word)]))["total"]
        good &= ends == total
        count = len(places) if good.all() else int(np.argmin(good))
        kept = slice(0, count)
        interface = interface[kept]
        time_ns = np.zeros(count, np.int64)
        for number in np.unique(interface):
            rows = interface == number
            time_ns[rows] = self._clocks[number].ns(ticks[kept][rows])
        self._time_simple(time_ns, simple[kept])
        return RecordBatch(
            array, start[kept], captured[kept], length[kept], time_ns, interface
        ), count

    def _time_simple(self, time_ns: Ints, simple: NDArray[np.bool_]) -> None:
        if simple.any():
            before = np.maximum.accumulate(np.where(simple, -1, np.arange(len(simple))))
            time_ns[simple] = np.where(before < 0, self._latest_ns, time_ns[before])[simple]
        if len(time_ns):
            self._latest_ns = int(time_ns[-1])

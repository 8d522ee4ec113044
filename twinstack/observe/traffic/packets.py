"""Packets as columns: what is known of each after its headers were read, and hashes over columns.

An address is two numbers, `high` and `low`; IPv4 lies in IPv6's mapped range, so that both are
compared alike. Nothing here refers to a file's bytes any more.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv6Address

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Flags = NDArray[np.bool_]

#: IPv4's place among IPv6 addresses (::ffff:0:0/96).
MAPPED = 0xFFFF << 32

# `protocol` is IP's number, or one of these.
ETHERTYPE = 1 << 16  # plus the frame's type: no IP
LLC = 1 << 17
UNKNOWN_LINK = 1 << 18  # we cannot read this interface's frames
BAD = 1 << 19  # its headers are cut off or contradict themselves

# `fragment`: a first one has the ports, a later one none of its own.
WHOLE, FIRST, LATER = 0, 1, 2


@dataclass(slots=True)
class Packets:
    """Columns of one length. `length` is the frame's on the wire, without a tunnel's own headers.

    `place` is where it was seen, an index into all interfaces; `cooked` that several interfaces
    hide in it. `same` is what no router or NAT changes. `message` names what HTTP begins in it, 0
    for nothing, -1 when that was cut off. `cut` says that the snap length cost us a header.
    """

    time_ns: Ints
    place: Ints
    length: Ints
    version: NDArray[np.uint8]
    protocol: NDArray[np.int32]
    source_high: Hashes
    source_low: Hashes
    target_high: Hashes
    target_low: Hashes
    source_port: Ints
    target_port: Ints
    ttl: NDArray[np.uint8]
    ip_id: Ints
    fragment: NDArray[np.uint8]
    seq: Ints
    ack: Ints
    flags: NDArray[np.uint8]
    window: Ints
    payload: Ints
    message: NDArray[np.int32]
    same: Hashes
    cooked: Flags
    cut: Flags

    @classmethod
    def blank(cls, count: int) -> Packets:
        """Give columns of zeros."""
        return cls(*(np.zeros(count, _TYPES[field.name]) for field in fields(cls)))

    def __len__(self) -> int:
        return len(self.time_ns)

    def take(self, rows: slice | Ints | Flags) -> Packets:
        """Give some rows, as columns of their own (views where `rows` is a slice)."""
        return Packets(*(getattr(self, field.name)[rows] for field in fields(self)))


def concatenate(parts: list[Packets]) -> Packets:
    """Join columns one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Packets(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Packets)
        )
    )


_TYPES: dict[str, type] = {
    **dict.fromkeys(
        (
            "time_ns",
            "place",
            "length",
            "source_port",
            "target_port",
            "ip_id",
            "seq",
            "ack",
            "window",
            "payload",
        ),
        np.int64,
    ),
    **dict.fromkeys(("version", "ttl", "fragment", "flags"), np.uint8),
    **dict.fromkeys(("protocol", "message"), np.int32),
    **dict.fromkeys(("source_high", "source_low", "target_high", "target_low", "same"), np.uint64),
    **dict.fromkeys(("cooked", "cut"), np.bool_),
}

_ODD = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


def hash_rows(*columns: NDArray[np.generic]) -> Hashes:
    """Hash rows of columns to 64 bits each: equal rows alike, others apart but by bad luck."""
    found = np.full(len(columns[0]), 0x2545F4914F6CDD1D, np.uint64)
    for column in columns:
        found ^= column.astype(np.uint64)
        found *= _ODD
        found ^= found >> _HALF
    return found


def group_rows(keys: Hashes | Ints) -> tuple[Ints, Flags]:
    """Sort rows by key, keeping their order within one: the order, and where a group begins.

    Keys are hashes, or numbers that with the row's fit in 64 bits. (Sorting a key's upper bits
    with the row's number below them is faster than a stable argsort; should different hashes
    agree in those bits, that is what is used.)
    """
    count = len(keys)
    if not count:
        return np.zeros(0, np.int64), np.zeros(0, np.bool_)
    bits = np.uint64(max(count - 1, 1).bit_length())
    low = (np.uint64(1) << bits) - np.uint64(1)
    raw = keys.astype(np.uint64, copy=False)
    small = keys.dtype == np.int64
    packed = (raw << bits if small else raw & ~low) | np.arange(count, dtype=np.uint64)
    packed.sort()
    order = (packed & low).astype(np.int64)
    found = raw[order]
    begins = np.ones(count, np.bool_)
    np.not_equal(found[1:], found[:-1], out=begins[1:])
    if not small and bool((begins[1:] & ((packed[1:] ^ packed[:-1]) <= low)).any()):
        order = np.argsort(raw, kind="stable")
        found = raw[order]
        np.not_equal(found[1:], found[:-1], out=begins[1:])
    return order, begins


def address_of(high: int, low: int) -> IPv4Address | IPv6Address:
    """Give an address from its two numbers."""
    if not high and low >> 32 == 0xFFFF:
        return IPv4Address(low & 0xFFFFFFFF)
    return IPv6Address(high << 64 | low)


def numbers_of(address: IPv4Address | IPv6Address) -> tuple[int, int]:
    """Give an address's two numbers."""
    if isinstance(address, IPv4Address):
        return 0, MAPPED | int(address)
    return int(address) >> 64, int(address) & (1 << 64) - 1

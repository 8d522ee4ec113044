"""Decoded packets as columns, and IP addresses as pairs of numbers. Pure.

An address is two numbers, `high` and `low`. IPv4 lies in the range that IPv6 maps it to, so both
compare alike.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv6Address

import numpy as np
from numpy.typing import NDArray

from twinstack.observe.traffic.columns import Flags, Hashes, Ints

#: IPv4's range among IPv6 addresses (::ffff:0:0/96).
MAPPED = 0xFFFF << 32

Bits8 = NDArray[np.uint8]
Bits32 = NDArray[np.int32]


@dataclass(slots=True)
class Packets:
    """Columns of one length, a row for each packet."""

    time_ns: Ints
    place: Ints  # where it was seen: an index into all interfaces
    length: Ints  # of the frame on the wire, without a tunnel's own headers
    version: Bits8  # of IP; 0: not IP
    protocol: Bits32  # IPPROTO_*, or a pseudo-protocol of `protocols`
    source_high: Hashes
    source_low: Hashes
    target_high: Hashes
    target_low: Hashes
    source_port: Ints
    target_port: Ints
    ttl: Bits8
    ip_id: Ints
    fragment: Bits8  # FIRST, LATER, or 0
    seq: Ints
    ack: Ints
    flags: Bits8
    window: Ints
    payload: Ints  # bytes on the wire
    message: Bits32  # the HTTP message that begins in it (`http`)
    same: Hashes  # hash of everything that no router and no NAT changes
    cooked: Flags  # captured on several interfaces at once, without their names
    cut: Flags  # the snap length cut into a header

    @classmethod
    def blank(cls, count: int) -> Packets:
        """Give columns of zeros."""
        return cls(*(np.zeros(count, _TYPES[str(field.type)]) for field in fields(cls)))

    def __len__(self) -> int:
        return len(self.time_ns)

    def take(self, rows: slice | Ints | Flags) -> Packets:
        """Give some rows, as columns of their own (views where `rows` is a slice)."""
        return Packets(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def join(cls, parts: list[Packets]) -> Packets:
        """Append columns to columns."""
        if len(parts) == 1:
            return parts[0]
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


#: The type of a column by its annotation.
_TYPES: dict[str, type] = {
    "Ints": np.int64,
    "Hashes": np.uint64,
    "Flags": np.bool_,
    "Bits8": np.uint8,
    "Bits32": np.int32,
}


def address_of(high: int, low: int) -> IPv4Address | IPv6Address:
    """Give an address from its two numbers."""
    address = IPv6Address(high << 64 | low)
    return address.ipv4_mapped or address


def numbers_of(address: IPv4Address | IPv6Address) -> tuple[int, int]:
    """Give an address's two numbers."""
    number = int(address) | (MAPPED if address.version == 4 else 0)
    return number >> 64, number & (1 << 64) - 1

"""Batches as numpy columns: headers gathered from bytes, rows hashed and grouped. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.void]
"""An array of records: a field of it is a column."""

_ODD = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


def layout(fields: str) -> np.dtype[np.void]:
    """Give the numpy layout of a header written as in C: ">u2 source, >u2 destination"."""
    pairs = (field.split() for field in fields.split(","))
    return np.dtype([(name, kind) for kind, name in pairs])


def gather(data: Bytes, positions: Ints, header: np.dtype[np.void]) -> Rows:
    """Copy the header at each position: one row each, with the header's fields.

    Positions must leave room for a header before the end of `data`.
    """
    size = header.itemsize
    if len(data) < size:
        data = np.concatenate([data, np.zeros(size, np.uint8)])
    plain = np.ndarray((len(data) - size + 1,), f"V{size}", data, strides=(1,))
    return plain[positions].view(header)


def hash_rows(*columns: NDArray[np.generic]) -> Hashes:
    """Hash the rows of some columns to 64 bits each."""
    hashes = np.full(len(columns[0]), 0x2545F4914F6CDD1D, np.uint64)
    for column in columns:
        hashes ^= column.astype(np.uint64)
        hashes *= _ODD
        hashes ^= hashes >> _HALF
    return hashes


def group_rows(keys: Hashes | Ints) -> tuple[Ints, Flags]:
    """Sort rows by key, stably: gives the order, and which of its elements begin a group.

    Keys are hashes, or numbers that fit in 64 bits together with the row's. (Sorting a key's upper
    bits with the row number below them is faster than a stable argsort, which remains for the case
    that different hashes agree in those bits.)
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
    begins = _changes(raw[order])
    if not small and bool((begins[1:] & ((packed[1:] ^ packed[:-1]) <= low)).any()):
        order = np.argsort(raw, kind="stable")
        begins = _changes(raw[order])
    return order, begins


def sum_groups(
    keys: Sequence[NDArray[np.generic]], values: Sequence[Ints]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield the different rows of the key columns, each with the sums of its values."""
    order, begins = group_rows(hash_rows(*keys))
    starts = np.flatnonzero(begins)
    rows = zip(*(key[order[starts]].tolist() for key in keys), strict=True)
    sums = zip(*(np.add.reduceat(value[order], starts).tolist() for value in values), strict=True)
    return zip(rows, sums, strict=True)


def _changes(keys: Hashes) -> Flags:
    changes = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=changes[1:])
    return changes

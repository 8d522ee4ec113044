"""A large capture to measure with: HTTP between services, connections interleaved; vectorised.

Every connection opens, asks twice, is answered twice and closes: 13 packets, 2.9 kB. Sequence
numbers and identifiers start at random (from a seed), as in a real capture.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twinstack.model.plan import Plan

_AT_ONCE = 64
_STEP_US = 3
_START_S = 1_700_000_000
_FIN, _SYN, _PSH, _ACK = 1, 2, 8, 16
_REQUEST = (
    b"GET /api/products/17 HTTP/1.1\r\nHost: nginx-lb\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
)
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n" + b"x" * 900
)
#: The sender (0 is the client), the flags, the payload.
_STEPS = (
    (0, _SYN, b""),
    (1, _SYN | _ACK, b""),
    (0, _ACK, b""),
    (0, _PSH | _ACK, _REQUEST),
    (1, _ACK, b""),
    (1, _PSH | _ACK, _ANSWER),
    (0, _ACK, b""),
    (0, _PSH | _ACK, _REQUEST),
    (1, _PSH | _ACK, _ANSWER),
    (0, _ACK, b""),
    (0, _FIN | _ACK, b""),
    (1, _FIN | _ACK, b""),
    (0, _ACK, b""),
)
_HEADERS = 54
_RECORD = 16


@dataclass(frozen=True, slots=True)
class PcapFile:
    """A capture that was written."""

    path: Path
    packets: int
    bytes: int
    connections: int


def write(path: Path, plan: Plan, size: int, seed: int) -> PcapFile:
    """Write a pcap of at least `size` bytes, of flows that the plan declares. Raises: OSError."""
    ends = [
        (int(source.address), int(target.address), flow.port)
        for flow in plan.flows
        if flow.protocol == "tcp"
        for source in plan.replicas_of(flow.source)
        for target in plan.replicas_of(flow.destination)
    ]
    rng = np.random.default_rng(seed)
    total = packets = connections = time_us = 0
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        while total < size:
            rows = _rows(ends, rng, connections, time_us)
            file.write(rows)
            total += len(rows)
            packets += len(_STEPS) * _AT_ONCE
            connections += _AT_ONCE
            time_us += len(_STEPS) * _AT_ONCE * _STEP_US
    return PcapFile(path, packets, total, connections)


def _rows(
    ends: Sequence[tuple[int, int, int]], rng: np.random.Generator, before: int, time_us: int
) -> bytes:
    """Write connections that run beside each other, each step of all of them in turn."""
    chosen = np.array(ends, np.int64)[rng.integers(0, len(ends), _AT_ONCE)]
    client_port = 20_000 + (before + np.arange(_AT_ONCE)) % 40_000
    first = rng.integers(0, 1 << 32, (2, _AT_ONCE))
    ident = rng.integers(0, 1 << 16, (2, _AT_ONCE))
    sent = np.zeros((2, _AT_ONCE), np.int64)
    parts = []
    for number, (side, flags, payload) in enumerate(_STEPS):
        size = _HEADERS + len(payload)
        rows = np.zeros((_AT_ONCE, _RECORD + size), np.uint8)
        times = time_us + (number * _AT_ONCE + np.arange(_AT_ONCE)) * _STEP_US
        _put(rows, 0, "<u4", _START_S + times // 1_000_000)
        _put(rows, 4, "<u4", times % 1_000_000)
        rows[:, 8:16] = np.frombuffer(struct.pack("<II", size, size), np.uint8)
        frame = rows[:, _RECORD:]
        frame[:, 0], frame[:, 6], frame[:, 12], frame[:, 14] = 2, 2, 8, 0x45
        _put(frame, 16, ">u2", np.full(_AT_ONCE, size - 14))
        _put(frame, 18, ">u2", (ident[side] + number) % (1 << 16))
        frame[:, 20], frame[:, 22], frame[:, 23] = 0x40, 64, 6
        _put(frame, 26, ">u4", chosen[:, side])
        _put(frame, 30, ">u4", chosen[:, 1 - side])
        ports = (client_port, chosen[:, 2])
        _put(frame, 34, ">u2", ports[side])
        _put(frame, 36, ">u2", ports[1 - side])
        _put(frame, 38, ">u4", (first[side] + sent[side]) % (1 << 32))
        if flags & _ACK:
            _put(frame, 42, ">u4", (first[1 - side] + sent[1 - side]) % (1 << 32))
        frame[:, 46], frame[:, 47] = 0x50, flags
        _put(frame, 48, ">u2", np.full(_AT_ONCE, 64240))
        frame[:, _HEADERS:] = np.frombuffer(payload, np.uint8)
        sent[side] += len(payload) + bool(flags & (_SYN | _FIN))
        parts.append(rows.tobytes())
    return b"".join(parts)


def _put(rows: NDArray[np.uint8], at: int, kind: str, values: NDArray[np.int64]) -> None:
    field = values.astype(kind)
    rows[:, at : at + field.itemsize] = field.view(np.uint8).reshape(len(values), -1)

"""A large capture to measure with: HTTP between services, connections beside each other.

Every connection opens, asks twice, is answered twice and closes: 13 packets, 2.9 kB. Sequence
numbers and identifiers start at random (from a seed), as in a real capture.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from twinstack.model.plan import Plan

_AT_ONCE, _STEP_US, _START_S = 64, 3, 1_700_000_000
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
_FILE, _RECORD = struct.Struct("<IHHiIII"), struct.Struct("<IIII")
_MAC, _ETHERNET = b"\2", struct.Struct(">6s6sH")
_IP, _TCP = struct.Struct(">BBHHHBBHII"), struct.Struct(">HHIIBBHHH")
End = tuple[int, int]  # an address and a port


@dataclass(frozen=True, slots=True)
class PcapFile:
    """A capture that was written."""

    path: Path
    packets: int
    bytes: int
    connections: int


def write(path: Path, plan: Plan, size: int, seed: int) -> PcapFile:
    """Write a pcap of at least `size` bytes, of flows that the plan declares. Raises: OSError."""
    flows = [
        (int(source.address), int(target.address), flow.port)
        for flow in plan.flows
        if flow.protocol == "tcp"
        for source in plan.replicas_of(flow.source)
        for target in plan.replicas_of(flow.destination)
    ]
    rng = random.Random(seed)
    total = packets = connections = 0
    with path.open("wb") as file:
        file.write(_FILE.pack(0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        while total < size:
            beside = []
            for client, server, port in rng.choices(flows, k=_AT_ONCE):
                asks = (client, 20_000 + connections % 40_000)
                beside.append(_frames(rng, (asks, (server, port))))
                connections += 1
            for frame in chain.from_iterable(zip(*beside, strict=True)):
                seconds, us = divmod(packets * _STEP_US, 1_000_000)
                record = _RECORD.pack(_START_S + seconds, us, len(frame), len(frame))
                total += file.write(record + frame)
                packets += 1
    return PcapFile(path, packets, total, connections)


def _frames(rng: random.Random, ends: tuple[End, End]) -> Iterator[bytes]:
    """Give the frames of one connection; checksums are 0, as where a card computes them."""
    ids, sent = ([rng.getrandbits(bits) for _ in ends] for bits in (16, 32))
    for side, flags, payload in _STEPS:
        (source, source_port), (target, target_port) = ends[side], ends[1 - side]
        length = _IP.size + _TCP.size + len(payload)
        acknowledged = sent[1 - side] if flags & _ACK else 0
        ports = source_port, target_port
        yield (
            _ETHERNET.pack(_MAC, _MAC, 0x0800)
            + _IP.pack(0x45, 0, length, ids[side], 0x4000, 64, 6, 0, source, target)
            + _TCP.pack(*ports, sent[side], acknowledged, 0x50, flags, 64240, 0, 0)
            + payload
        )
        ids[side] = (ids[side] + 1) % (1 << 16)
        sent[side] = (sent[side] + len(payload) + bool(flags & (_SYN | _FIN))) % (1 << 32)

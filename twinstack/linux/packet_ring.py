"""The kernel's ring buffer of one interface's packets (TPACKET_V3), read where the kernel wrote it.

A socket belongs to the network namespace that it was made in, wherever it is used: one process
reads the rings of all namespaces, on one clock. The kernel truncates, timestamps and counts
packets; no call is made for a single one.
Source: packet(7), if_packet.h, packet_mmap.rst in the kernel's documentation.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import resource
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from twinstack.errors import Missing, StepFailed
from twinstack.linux import child


class PACKET(IntEnum):
    """Socket options of the level SOL_PACKET: PACKET_*. Source: if_packet.h."""

    ADD_MEMBERSHIP = 1
    RX_RING = 5
    STATISTICS = 6
    VERSION = 10


_SOL_PACKET, _SO_ATTACH_FILTER, _SIOCGIFINDEX = 263, 26, 0x8933
_TPACKET_V3, _PACKET_MR_PROMISC, _ETH_P_ALL = 2, 1, 3
_TP_STATUS_USER = 1  # a block is ours to read
TP_STATUS_VLAN_VALID = 0x10

_TPACKET_REQ3 = struct.Struct("=7I")  # blocks' size, number; frames' size, number; timeout, …
_BLOCK_HEADER = struct.Struct("=8x3I")  # tpacket_block_desc: status, packets, the first's offset
#: Offset of the next, seconds, nanoseconds, bytes kept, length, status, the frame's offset.
TPACKET3_HDR = struct.Struct("=6IH")
#: Behind it, with TP_STATUS_VLAN_VALID: the tag that the kernel took out of the frame.
VLAN_TAG = struct.Struct("=32xIH")
_PACKET_MREQ = struct.Struct("=iHH8s")
_IFREQ = struct.Struct("=16si")

#: More than the longest packet that a veth carries.
MAX_PACKET_BYTES = 262_144
#: How long the kernel may keep a block that is not full, and all rings' memory together.
RETIRE_MS = 100
MEMORY_BYTES = 128 << 20
_BLOCK_BYTES, _FRAME_BYTES = 1 << 17, 2048
_MIN_RING_BYTES, _MAX_RING_BYTES = 2 * _BLOCK_BYTES, 32 << 20
_SPARE_FILES = 256

#: Handles a block: its memory, how many packets, where the first one's header is.
BlockReader = Callable[[memoryview, int, int], None]


@dataclass(slots=True)
class Ring:
    """An open ring: `seen` and `dropped` together are all the packets that came."""

    label: str
    sock: socket.socket
    _map: mmap.mmap
    _memory: memoryview
    _blocks: int = 0
    _current: int = 0
    seen: int = 0  # packets that the kernel put into it
    dropped: int = 0  # packets that it had no room for
    failed: str = ""  # why no more come: the interface went down or was removed

    def fileno(self) -> int:
        """Give what `poll` waits for."""
        return self.sock.fileno()

    def read(self, take: BlockReader) -> int:
        """Hand over every block that is ready, then return it to the kernel; give how many."""
        count = 0
        while count < self._blocks:
            base = self._current * _BLOCK_BYTES
            status, packets, first = _BLOCK_HEADER.unpack_from(self._memory, base)
            if not status & _TP_STATUS_USER:
                break
            take(self._memory, packets, base + first)
            struct.pack_into("=I", self._memory, base + 8, 0)
            self._current = (self._current + 1) % self._blocks
            count += 1
        return count

    def count(self) -> None:
        """Add what the kernel has counted since the last time."""
        counters = self.sock.getsockopt(_SOL_PACKET, PACKET.STATISTICS, 12)
        packets, dropped, _ = struct.unpack("=3I", counters)
        self.seen += packets - dropped
        self.dropped += dropped

    def check(self) -> None:
        """Note an error that the kernel left on the socket."""
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.failed = "it went down" if code == errno.ENETDOWN else os.strerror(code)

    def stop(self) -> None:
        """Take nothing more: what comes now is neither kept nor counted."""
        _truncate(self.sock, 0, skip_outgoing=False)

    def close(self) -> None:
        """Free the memory."""
        self._memory.release()
        self._map.close()
        self.sock.close()


@dataclass(frozen=True, slots=True)
class CapturePoint:
    """Where to capture."""

    label: str  # how it is shown
    interface: str
    namespace: str  # a path; "" is our own
    promiscuous: bool = False  # frames between others too: a bridge shows those no other way


@contextmanager
def opened(
    points: Sequence[CapturePoint],
    snap: int = 0,
    retire_ms: int = RETIRE_MS,
    memory_bytes: int = MEMORY_BYTES,
) -> Iterator[list[Ring]]:
    """Open a ring at each point, all of them capturing; they close with the block.

    Units: snap in bytes kept of a packet, 0 for all; memory_bytes is of all points.
    Raises: Missing without the right or the interface; StepFailed.
    """
    _allow_files(2 * len(points))  # a socket and a mapping each
    size = max(_MIN_RING_BYTES, min(_MAX_RING_BYTES, memory_bytes // max(len(points), 1)))
    with ExitStack() as stack:
        rings = []
        for point in points:
            try:
                namespace = Path(point.namespace) if point.namespace else None
                sock = child.socket_in(namespace, _packet_socket)
                stack.callback(sock.close)
                blocks = size // _BLOCK_BYTES
                ring = _ring(point, sock, snap or MAX_PACKET_BYTES, blocks, retire_ms)
            except OSError as error:
                raise _refused(point, error) from error
            stack.callback(ring.close)
            rings.append(ring)
        for point, ring in zip(points, rings, strict=True):  # last, so that all begin together
            try:
                ring.sock.bind((point.interface, _ETH_P_ALL))
            except OSError as error:
                raise _refused(point, error) from error
        yield rings


def captured(ring: Ring) -> list[tuple[int, bytes, int]]:
    """Take all that a ring holds: each packet's time, frame and length, as `packets`."""
    found: list[tuple[int, bytes, int]] = []
    ring.read(lambda memory, count, at: found.extend(packets(memory, count, at)))
    return found


def packets(memory: memoryview, count: int, at: int) -> Iterator[tuple[int, bytes, int]]:
    """Take a block apart: each packet's time (ns since 1970), frame as kept, and whole length."""
    for _ in range(count):
        following, seconds, ns, kept, length, _, offset = TPACKET3_HDR.unpack_from(memory, at)
        yield seconds * 1_000_000_000 + ns, bytes(memory[at + offset : at + offset + kept]), length
        at += following


def _allow_files(more: int) -> None:
    """Raise our limit of open files, as far as we may: the usual 1,024 are soon too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = more + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))


def _ring(point: CapturePoint, sock: socket.socket, snap: int, blocks: int, retire_ms: int) -> Ring:
    request = _IFREQ.pack(point.interface.encode(), 0)
    _, index = _IFREQ.unpack(fcntl.ioctl(sock, _SIOCGIFINDEX, request))
    sock.setsockopt(_SOL_PACKET, PACKET.VERSION, _TPACKET_V3)
    frames = blocks * (_BLOCK_BYTES // _FRAME_BYTES)
    ring = _TPACKET_REQ3.pack(_BLOCK_BYTES, blocks, _FRAME_BYTES, frames, retire_ms, 0, 0)
    sock.setsockopt(_SOL_PACKET, PACKET.RX_RING, ring)
    # Loopback shows each packet twice, outgoing and incoming; libpcap too keeps the incoming one.
    _truncate(sock, snap, skip_outgoing=point.interface == "lo")
    if point.promiscuous:
        membership = _PACKET_MREQ.pack(index, _PACKET_MR_PROMISC, 0, b"")
        sock.setsockopt(_SOL_PACKET, PACKET.ADD_MEMBERSHIP, membership)
    memory = mmap.mmap(sock.fileno(), blocks * _BLOCK_BYTES)
    return Ring(point.label, sock, memory, memoryview(memory), blocks)


def _truncate(sock: socket.socket, snap: int, *, skip_outgoing: bool) -> None:
    """Have the kernel keep so many bytes of each packet: a filter of one to four instructions."""
    instruction = struct.Struct("=HBBI")  # struct sock_filter
    code = instruction.pack(0x06, 0, 0, snap)  # BPF_RET
    if skip_outgoing:
        load_type = instruction.pack(0x30, 0, 0, 0xFFFFF004)  # BPF_LD, SKF_AD_PKTTYPE
        if_outgoing = instruction.pack(0x15, 0, 1, 4)  # BPF_JEQ, PACKET_OUTGOING
        code = load_type + if_outgoing + instruction.pack(0x06, 0, 0, 0) + code
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("@HP", len(code) // instruction.size, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _packet_socket() -> socket.socket:
    # Protocol 0: no packets before the ring is ready.
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)


def _refused(point: CapturePoint, error: OSError) -> Missing | StepFailed:
    failure = "cannot be captured"
    if error.errno == errno.EPERM:
        return Missing(point.label, failure, "this needs root", "run it with sudo")
    if error.errno in {errno.ENODEV, errno.ENOENT}:
        return Missing(point.label, failure, "it is gone", "look at the world again")
    return StepFailed(point.label, failure, error.strerror or str(error))

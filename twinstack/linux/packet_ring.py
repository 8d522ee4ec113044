"""The kernel's ring buffer of one interface's packets (TPACKET_V3), read where the kernel wrote it.

A socket belongs to the network namespace that it was made in, wherever it is used: a child enters,
makes the sockets and hands them back, and one process reads the rings of all namespaces, on one
clock. The kernel cuts, times and counts; nothing is asked of it for each packet.
Source: packet(7); packet_mmap.rst in the kernel's documentation; if_packet.h.
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
from dataclasses import dataclass, field
from pathlib import Path

from twinstack.errors import Missing, StepFailed
from twinstack.linux import child

#: A whole packet: more than the longest that a veth carries.
WHOLE = 262_144
#: How long the kernel may keep a block that is not full, and all rings' memory together.
RETIRE_MS = 100
MEMORY_BYTES = 128 << 20
_BLOCK_BYTES, _FRAME_BYTES = 1 << 17, 2048
_LEAST_BYTES, _MOST_BYTES = 2 * _BLOCK_BYTES, 32 << 20
_FDS_AT_ONCE = 200
_FILES_BESIDE = 256

_SOL_PACKET, _EVERY_PROTOCOL = 263, 3
_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION = 1, 5, 6, 10
_V3, _PROMISCUOUS = 2, 1
_ATTACH_FILTER = 26
_GET_INDEX = 0x8933

_RING = struct.Struct("=7I")
_DESCRIBED = struct.Struct("=3I")  # status, packets, offset of the first; behind two words
_OURS = 1
#: tpacket3_hdr: offset of the next, seconds, nanoseconds, kept, length, status, frame's offset.
HEADER = struct.Struct("=6IH")
TAGGED, TAG = 0x10, struct.Struct("=32xIH")  # a VLAN tag that the kernel took out of the frame

#: What is done with a block: its memory, how many packets, where the first one's header is.
Take = Callable[[memoryview, int, int], None]


@dataclass(slots=True)
class Ring:
    """An open ring. `seen` counts the packets that the kernel put into it, `dropped` those that it
    had no room for: together, all that came. `failed` says why nothing more comes: the interface
    went down or away.
    """

    label: str
    sock: socket.socket
    _map: mmap.mmap
    _memory: memoryview
    _current: int = 0
    seen: int = 0
    dropped: int = 0
    failed: str = ""
    _blocks: int = field(default=0)

    def fileno(self) -> int:
        """Give what `poll` waits for."""
        return self.sock.fileno()

    def read(self, take: Take) -> int:
        """Hand over every block that is ready, then give it back to the kernel; how many."""
        count = 0
        while count < self._blocks:
            base = self._current * _BLOCK_BYTES
            status, packets, first = _DESCRIBED.unpack_from(self._memory, base + 8)
            if not status & _OURS:
                break
            take(self._memory, packets, base + first)
            struct.pack_into("=I", self._memory, base + 8, 0)
            self._current = (self._current + 1) % self._blocks
            count += 1
        return count

    def count(self) -> None:
        """Add up what the kernel counted since it was asked last."""
        told = self.sock.getsockopt(_SOL_PACKET, _STATISTICS, 12)
        packets, dropped, _ = struct.unpack("=3I", told)
        self.seen += packets - dropped
        self.dropped += dropped

    def check(self) -> None:
        """Heed an error that the kernel left on the socket."""
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.failed = "it went down" if code == errno.ENETDOWN else os.strerror(code)

    def stop(self) -> None:
        """Take nothing more: what comes now is neither kept nor counted."""
        _cut(self.sock, 0, skip_outgoing=False)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.release()
        self._map.close()
        self.sock.close()


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen: an interface's name in its namespace ("" is ours), and what to call it.

    `promiscuous`: frames between others too; a bridge tells of those to nobody else.
    """

    label: str
    interface: str
    namespace: str
    promiscuous: bool = False


@contextmanager
def opened(
    places: Sequence[Place], snap: int = 0, retire_ms: int = RETIRE_MS
) -> Iterator[list[Ring]]:
    """Open a ring for each place, all of them listening; they close with the block.

    Units: snap in bytes kept of a packet, 0 for all. Raises: Missing without the right or the
    interface; StepFailed.
    """
    _raise_limit(2 * len(places))  # a socket and a file each
    size = max(_LEAST_BYTES, min(_MOST_BYTES, MEMORY_BYTES // max(len(places), 1)))
    with ExitStack() as stack:
        rings = []
        for place, sock in zip(places, _sockets(places), strict=True):
            stack.callback(sock.close)
            try:
                ring = _ring(place, sock, snap or WHOLE, size // _BLOCK_BYTES, retire_ms)
            except OSError as error:
                raise _refused(place, error) from error
            stack.callback(ring.close)
            rings.append(ring)
        for place, ring in zip(places, rings, strict=True):  # at last, all of them at once
            try:
                ring.sock.bind((place.interface, _EVERY_PROTOCOL))
            except OSError as error:
                raise _refused(place, error) from error
        yield rings


def _raise_limit(more: int) -> None:
    """Allow so many more open files, as far as we may: the usual 1,024 are soon too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = more + _FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _ring(place: Place, sock: socket.socket, snap: int, blocks: int, retire_ms: int) -> Ring:
    name = place.interface.encode()
    index = struct.unpack("=16si", fcntl.ioctl(sock, _GET_INDEX, struct.pack("=16si", name, 0)))[1]
    sock.setsockopt(_SOL_PACKET, _VERSION, _V3)
    frames = blocks * (_BLOCK_BYTES // _FRAME_BYTES)
    request = _RING.pack(_BLOCK_BYTES, blocks, _FRAME_BYTES, frames, retire_ms, 0, 0)
    sock.setsockopt(_SOL_PACKET, _RX_RING, request)
    # Loopback shows each packet twice, going and coming; libpcap too takes it coming.
    _cut(sock, snap, skip_outgoing=place.interface == "lo")
    if place.promiscuous:
        wish = struct.pack("=iHH8s", index, _PROMISCUOUS, 0, b"")
        sock.setsockopt(_SOL_PACKET, _MEMBERSHIP, wish)
    memory = mmap.mmap(sock.fileno(), blocks * _BLOCK_BYTES)
    return Ring(place.label, sock, memory, memoryview(memory), _blocks=blocks)


def _cut(sock: socket.socket, snap: int, *, skip_outgoing: bool) -> None:
    """Have the kernel keep so many bytes of each packet: a filter of one to three instructions."""
    keep = struct.pack("=HBBI", 0x06, 0, 0, snap)
    code = keep
    if skip_outgoing:
        load = struct.pack("=HBBI", 0x30, 0, 0, 0xFFFFF004)  # the packet's type
        code = load + struct.pack("=HBBI", 0x15, 0, 1, 4) + struct.pack("=HBBI", 0x06, 0, 0, 0)
        code += keep
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)


def _sockets(places: Sequence[Place]) -> list[socket.socket]:
    """Make a socket for each place, in its namespace."""
    found: dict[int, socket.socket] = {}
    by_namespace: dict[str, list[int]] = {}
    for number, place in enumerate(places):
        by_namespace.setdefault(place.namespace, []).append(number)
    try:
        for namespace, numbers in by_namespace.items():
            made = _made_in(namespace, len(numbers))
            found |= dict(zip(numbers, made, strict=True))
    except OSError as error:
        for sock in found.values():
            sock.close()
        raise _refused(places[len(found)], error) from error
    return [found[number] for number in range(len(places))]


def _made_in(namespace: str, count: int) -> list[socket.socket]:
    if not namespace:
        return [_packet_socket() for _ in range(count)]
    made: list[socket.socket] = []
    for begin in range(0, count, _FDS_AT_ONCE):
        wanted = min(_FDS_AT_ONCE, count - begin)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            child.inside("capture", Path(namespace), lambda: _hand_over(theirs, wanted))  # noqa: B023
            _, handles, _, _ = socket.recv_fds(ours, 1, wanted)
        made += [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0, one) for one in handles]
    return made


def _hand_over(channel: socket.socket, count: int) -> None:
    made = [_packet_socket() for _ in range(count)]
    socket.send_fds(channel, [b"."], [one.fileno() for one in made])


def _packet_socket() -> socket.socket:
    # Protocol 0: nothing comes before the ring is there.
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)


def _refused(place: Place, error: OSError) -> Missing | StepFailed:
    if error.errno == errno.EPERM:
        return Missing(place.label, "cannot be captured", "this needs root", "run it with sudo")
    if error.errno in {errno.ENODEV, errno.ENOENT}:
        return Missing(place.label, "cannot be captured", "it is gone", "look at the world again")
    return StepFailed(place.label, "cannot be captured", error.strerror or str(error))

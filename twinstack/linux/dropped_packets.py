"""Packets that the kernel drops, each with the kernel's own reason, wherever that is.

A BPF program of some forty instructions is attached to the tracepoint kfree_skb. It keeps the
packets that carry a given number as a port (or an ICMP identifier) in a queue, which is read
afterwards. The kernel removes program and queue with their last file, however this process ends.
Source: bpf(2), linux/bpf.h, trace/events/skb.h, net/dropreason-core.h.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import IntEnum

from twinstack.errors import Missing
from twinstack.linux import libc
from twinstack.linux.btf import KernelTypes, Kind, kernel_types

_SYSCALL = {"x86_64": 321, "aarch64": 280}


class BPF(IntEnum):
    """Commands of bpf(2). Source: bpf.h."""

    MAP_CREATE = 0
    PROG_LOAD = 5
    RAW_TRACEPOINT_OPEN = 17
    MAP_LOOKUP_AND_DELETE_ELEM = 21


_MAP_TYPE_QUEUE, _PROG_TYPE_TRACING, _TRACE_RAW_TP = 22, 26, 23
_PROBE_READ_KERNEL, _MAP_PUSH_ELEM, _PSEUDO_MAP_FD = 113, 87, 1
# Instruction codes. Source: Documentation/bpf/standardization/instruction-set.rst.
_LOAD = {2: 0x69, 4: 0x61, 8: 0x79}  # BPF_LDX | size | BPF_MEM
_STORE = {2: 0x6B, 4: 0x63, 8: 0x7B}  # BPF_STX | size | BPF_MEM
_LOAD_MAP, _MOVE, _MOVE_NUMBER, _ADD, _ADD_NUMBER = 0x18, 0xBF, 0xB7, 0x0F, 0x07
_IF_EQUAL, _CALL, _EXIT = 0x15, 0x85, 0x95
_FRAME = 10  # the register that points behind the stack
_INSTRUCTION = struct.Struct("<BBhi")
#: What the program pushes: reason, the device's index, inode of the namespace of the device and of
#: the socket, the packet from its network header on.
_EVENT = struct.Struct("=IIII48s")
_ENTRIES = 1024
_PREFIX = "SKB_DROP_REASON_"


@dataclass(frozen=True, slots=True)
class DroppedPacket:
    """A packet that was dropped."""

    reason: str  # as the kernel calls it, such as NETFILTER_DROP
    device: int  # the index of the device that it was at; 0: none
    namespace: int  # the inode of the network namespace; 0: not known
    packet: bytes  # from its IP header on, 48 bytes at most


class DropWatch:
    """A running watch; what it saw is kept until it is read."""

    def __init__(self, queue: int, reasons: Mapping[int, str]) -> None:
        self._queue = queue
        self._reasons = reasons

    def read(self) -> Iterator[DroppedPacket]:
        """Take what was dropped since the last look. Raises: OSError."""
        value = ctypes.create_string_buffer(_EVENT.size)
        request = struct.pack("=IIQQQ", self._queue, 0, 0, ctypes.addressof(value), 0)
        while True:
            try:
                _bpf(BPF.MAP_LOOKUP_AND_DELETE_ELEM, request)
            except FileNotFoundError:
                return
            reason, device, of_device, of_socket, packet = _EVENT.unpack(value.raw)
            name = self._reasons.get(reason, f"reason {reason}").removeprefix(_PREFIX)
            yield DroppedPacket(name, device, of_device or of_socket, packet)


@contextmanager
def watching(number: int) -> Iterator[DropWatch]:
    """Watch all namespaces for dropped packets with a port, or ICMP identifier, of `number`.

    Raises: Missing where the kernel or our rights do not allow it.
    """
    with ExitStack() as stack:

        def kept(handle: int) -> int:
            stack.callback(os.close, handle)
            return handle

        try:
            types = kernel_types()
            reasons = types.enumerators("skb_drop_reason")
            queue = struct.pack("=IIII", _MAP_TYPE_QUEUE, 0, _EVENT.size, _ENTRIES)
            handle = kept(_bpf(BPF.MAP_CREATE, queue))
            program = kept(_load(types, handle, number))
            kept(_bpf(BPF.RAW_TRACEPOINT_OPEN, struct.pack("=QI", 0, program)))
        except (OSError, LookupError) as error:
            raise Missing("the kernel's drop reasons", "cannot be read", str(error)) from error
        yield DropWatch(handle, reasons)


def _bpf(command: BPF, attributes: bytes) -> int:
    number = _SYSCALL.get(platform.machine())
    if number is None:
        raise LookupError(f"the number of bpf(2) on {platform.machine()} is not known here")
    buffer = ctypes.create_string_buffer(attributes, 144)  # zeros behind what is given
    return libc.call("syscall", number, int(command), ctypes.byref(buffer), len(buffer))


def _load(types: KernelTypes, queue: int, number: int) -> int:
    """Load the program. Raises: OSError, LookupError."""
    program = _program(types, queue, number)
    code, license_ = ctypes.create_string_buffer(program), ctypes.create_string_buffer(b"GPL")
    traced = types.identity(Kind.TYPEDEF, "btf_trace_kfree_skb")
    attributes = struct.pack(
        "=IIQQ24x16sII36xI",
        _PROG_TYPE_TRACING,
        len(program) // _INSTRUCTION.size,
        ctypes.addressof(code),
        ctypes.addressof(license_),
        b"twinstack_drops",
        0,
        _TRACE_RAW_TP,
        traced,
    )
    return _bpf(BPF.PROG_LOAD, attributes)


def _program(types: KernelTypes, queue: int, number: int) -> bytes:
    """Write the program. At the tracepoint r1 points to its arguments: skb, location, reason."""
    in_frame = -_EVENT.size
    packet = in_frame + 16
    wanted = int.from_bytes(number.to_bytes(2, "big"), "little")

    def ins(code: int, dst: int = 0, src: int = 0, offset: int = 0, value: int = 0) -> bytes:
        return _INSTRUCTION.pack(code, src << 4 | dst, offset, value)

    def load(size: int, dst: int, src: int, offset: int) -> bytes:
        return ins(_LOAD[size], dst, src, offset)

    def keep(offset: int, src: int) -> bytes:
        return ins(_STORE[4], _FRAME, src, in_frame + offset)

    network, head = types.offset("sk_buff", "network_header"), types.offset("sk_buff", "head")
    inode = types.offset("net", "ns", "inum")
    event = [
        load(8, 6, 1, 0),  # r6 = skb
        load(8, 7, 1, 16),  # r7 = reason
        keep(0, 7),
        load(8, 2, 6, types.offset("sk_buff", "dev")),
        load(4, 1, 2, types.offset("net_device", "ifindex")),
        keep(4, 1),
        load(8, 1, 2, types.offset("net_device", "nd_net", "net")),
        load(4, 1, 1, inode),
        keep(8, 1),
        ins(_MOVE_NUMBER, 1),
        keep(12, 1),
        load(8, 2, 6, types.offset("sk_buff", "sk")),
        ins(_IF_EQUAL, 2, offset=3),  # the verifier wants it: a packet may have no socket
        load(8, 1, 2, types.offset("sock", "__sk_common", "skc_net", "net")),
        load(4, 1, 1, inode),
        keep(12, 1),
        load(8, 3, 6, head),  # r3 = where the packet's IP header is
        load(2, 1, 6, network),
        ins(_ADD, 3, 1),
        ins(_MOVE, 1, _FRAME),
        ins(_ADD_NUMBER, 1, value=packet),
        ins(_MOVE_NUMBER, 2, value=48),
        ins(_CALL, value=_PROBE_READ_KERNEL),
    ]
    push = [
        ins(_LOAD_MAP, 1, _PSEUDO_MAP_FD, value=queue) + ins(0),
        ins(_MOVE, 2, _FRAME),
        ins(_ADD_NUMBER, 2, value=in_frame),
        ins(_MOVE_NUMBER, 3),
        ins(_CALL, value=_MAP_PUSH_ELEM),
    ]
    end = [ins(_MOVE_NUMBER, 0), ins(_EXIT)]
    # Both ports of TCP and UDP, the identifier of ICMP: behind an IP header of 20 bytes.
    found = []
    for place, offset in enumerate((20, 22, 24)):
        beyond = 2 * (2 - place)
        found += [
            load(2, 1, _FRAME, packet + offset),
            ins(_IF_EQUAL, 1, offset=beyond + len(end), value=wanted),
        ]
    return b"".join([*event, *found, *end, *push, *end])

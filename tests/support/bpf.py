"""Ask a compiled seccomp filter what it decides, also one fetched out of a running process.

Source: Documentation/userspace-api/seccomp_filter.rst and linux/bpf_common.h of the kernel.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from dataclasses import dataclass

#: AUDIT_ARCH_* of the machines that the tests run on.
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[platform.machine()]
ALLOW = 0x7FFF0000
EPERM = 0x00050001
ENOSYS = 0x00050026

_JUMPS = {
    0x15: lambda a, k: a == k,
    0x25: lambda a, k: a > k,
    0x35: lambda a, k: a >= k,
    0x45: lambda a, k: bool(a & k),
}


@dataclass(frozen=True)
class Program:
    """A filter as the kernel is given it."""

    code: bytes

    def decide(self, number: int, *arguments: int, architecture: int = ARCHITECTURE) -> int:
        """Give the action for a system call: ALLOW, EPERM, …"""
        padded = (*arguments, *(0,) * (6 - len(arguments)))
        data = struct.pack("<iIQ6Q", number, architecture, 0, *padded)
        steps = list(struct.iter_unpack("<HBBI", self.code))
        accumulator, at = 0, 0
        while True:
            code, yes, no, k = steps[at]
            at += 1
            if code == 0x20:  # ld [k]
                (accumulator,) = struct.unpack_from("<I", data, k)
            elif code == 0x54:  # and #k
                accumulator &= k
            elif code == 0x05:  # ja
                at += k
            elif code in _JUMPS:
                at += yes if _JUMPS[code](accumulator, k) else no
            elif code == 0x06:  # ret #k
                return int(k)
            else:
                raise NotImplementedError(hex(code))


_SEIZE, _INTERRUPT, _GET_FILTER, _DETACH = 0x4206, 0x4207, 0x420C, 17
_WALL = 0x40000000


def filter_of(pid: int) -> Program:
    """Fetch the newest filter of a process, which is stopped for a moment. Source: ptrace(2)."""
    library = ctypes.CDLL(None, use_errno=True)
    library.ptrace.restype = ctypes.c_long
    library.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def ptrace(request: int, data: ctypes.Array[ctypes.c_char] | None = None) -> int:
        done = library.ptrace(request, pid, 0, ctypes.cast(data, ctypes.c_void_p) if data else None)
        if done < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return int(done)

    ptrace(_SEIZE)
    try:
        ptrace(_INTERRUPT)
        os.waitpid(pid, _WALL)
        buffer = ctypes.create_string_buffer(ptrace(_GET_FILTER) * 8)
        ptrace(_GET_FILTER, buffer)
    finally:
        ptrace(_DETACH)
    return Program(buffer.raw)

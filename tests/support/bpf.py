"""Ask a compiled seccomp filter what it decides, also one fetched out of a running process.

Source: Documentation/userspace-api/seccomp_filter.rst and linux/bpf_common.h of the kernel.
"""

from __future__ import annotations

import platform
import struct
from dataclasses import dataclass

from twinstack.linux.ptrace import seccomp_filters

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


def filter_of(pid: int) -> Program:
    """Fetch the newest filter of a process."""
    return Program(seccomp_filters([pid])[pid][0])

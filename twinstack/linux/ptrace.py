"""Fetch the seccomp filters of running processes; each is stopped for a moment.

A child does it: when that ends, however it does, the kernel lets every process go on. Source:
ptrace(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Iterable
from enum import IntEnum

from twinstack.linux import child, libc

_WALL = 0x40000000
_INSTRUCTION_BYTES = 8
_STOPS_WITHIN_S = 1.0


class PTRACE(IntEnum):
    """Requests: PTRACE_*. Source: ptrace.h."""

    DETACH = 17
    SEIZE = 0x4206
    INTERRUPT = 0x4207
    SECCOMP_GET_FILTER = 0x420C


def seccomp_filters(pids: Iterable[int]) -> dict[int, tuple[bytes, ...]]:
    """Give each process's filters as BPF programs, the newest first.

    Raises: StepFailed without CAP_SYS_ADMIN, on a kernel without CONFIG_CHECKPOINT_RESTORE, or when
    one of them is gone.
    """
    return child.inside("seccomp filters", None, lambda: {pid: _filters(pid) for pid in pids})


def _filters(pid: int) -> tuple[bytes, ...]:
    _request(PTRACE.SEIZE, pid)
    _request(PTRACE.INTERRUPT, pid)
    _await_stop(pid)
    programs: list[bytes] = []
    try:
        while True:
            count = _request(PTRACE.SECCOMP_GET_FILTER, pid, len(programs))
            program = ctypes.create_string_buffer(count * _INSTRUCTION_BYTES)
            _request(PTRACE.SECCOMP_GET_FILTER, pid, len(programs), ctypes.addressof(program))
            programs.append(program.raw)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOENT}:  # none at all, or no more of them
            raise
    _request(PTRACE.DETACH, pid)
    return tuple(programs)


def _await_stop(pid: int) -> None:
    deadline = time.monotonic() + _STOPS_WITHIN_S
    while os.waitpid(pid, os.WNOHANG | _WALL)[0] == 0:
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, f"process {pid} does not stop")
        time.sleep(0.0002)


def _request(request: PTRACE, pid: int, place: int = 0, buffer: int = 0) -> int:
    pointers = (ctypes.c_void_p(place), ctypes.c_void_p(buffer))
    return libc.call("ptrace", int(request), pid, *pointers)

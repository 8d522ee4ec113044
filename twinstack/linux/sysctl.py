"""Read and write switches of many network namespaces without the kernel's slow look-up.

The kernel keeps the directory entries of every namespace's net.ipv4 in one hash chain of the
procfs that they were reached by, so the thousandth look-up passes a thousand others. A
procfs instance of our own, attached nowhere and gone with its descriptor, starts with an empty
chain: one for every few namespaces keeps each look-up short. Source: fsopen(2).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from twinstack.linux import libc, procfs

_SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 430, 431, 432
_FSCONFIG_CMD_CREATE = 6
#: How many namespaces one instance serves before the next takes its place.
_MOST_NAMESPACES = 50


class Sysctls:
    """The sysctls of whichever network namespace this thread is in; call `enter` in each."""

    def __init__(self) -> None:
        self._directory = -1
        self._served = 0

    def enter(self) -> None:
        """Say that the thread is in another namespace now. Raises: OSError."""
        if self._directory < 0 or self._served >= _MOST_NAMESPACES:
            self.close()
            self._directory = _instance()
            self._served = 0
        self._served += 1

    def close(self) -> None:
        """Let go of the instance."""
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def read(self, keys: Iterable[str]) -> dict[str, str]:
        """Read switches; one that is not there is left out. Raises: OSError."""
        found = {}
        for key in keys:
            with suppress(FileNotFoundError), self._open(key, os.O_RDONLY) as handle:
                found[key] = os.read(handle, 4096).decode().strip()
        return found

    def write(self, wanted: Iterable[tuple[str, str]], optional: str = "") -> None:
        """Set switches; those that start with `optional` may be absent. Raises: OSError."""
        for key, value in wanted:
            try:
                with self._open(key, os.O_WRONLY) as handle:
                    os.write(handle, value.encode())
            except FileNotFoundError:
                if not (optional and key.startswith(optional)):
                    raise

    @contextmanager
    def _open(self, key: str, flags: int) -> Iterator[int]:
        place = procfs.sysctl_place(key)
        handle = os.open(place, flags | os.O_CLOEXEC, dir_fd=self._directory)
        try:
            yield handle
        finally:
            os.close(handle)


def _instance() -> int:
    """Open a new procfs; where the kernel has none to give, the one that all share."""
    with suppress(OSError):
        context = libc.call("syscall", _SYS_FSOPEN, b"proc", 0)
        try:
            libc.call("syscall", _SYS_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
            mount = libc.call("syscall", _SYS_FSMOUNT, context, 0, 0)
            os.set_inheritable(mount, False)
            return mount
        finally:
            os.close(context)
    return os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

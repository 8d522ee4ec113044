"""Read and write sysctls of many network namespaces without the kernel's slow look-up.

The kernel keeps the directory entries of every namespace's net.ipv4 in one hash chain of the
procfs that they were reached through, so the thousandth look-up passes a thousand others. A procfs
instance of our own, mounted nowhere and gone with its descriptor, starts with an empty chain; a
new one for every few namespaces keeps each look-up short. Source: fsopen(2).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from twinstack.linux import libc, procfs

_SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 430, 431, 432
_FSCONFIG_CMD_CREATE = 6
#: How many namespaces one instance serves before the next takes its place.
_NAMESPACES_PER_PROCFS = 50


class Sysctls:
    """The sysctls of the network namespace that this thread is in; call `enter` in each."""

    def __init__(self) -> None:
        self._directory = -1
        self._served = 0

    def enter(self) -> None:
        """Note that the thread is in another namespace now. Raises: OSError."""
        if self._directory < 0 or self._served >= _NAMESPACES_PER_PROCFS:
            self.close()
            self._directory = _open_procfs()
            self._served = 0
        self._served += 1

    def close(self) -> None:
        """Close the procfs."""
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def read(self, keys: Iterable[str]) -> dict[str, str]:
        """Read sysctls; one that does not exist is left out. Raises: OSError."""
        values = {}
        for key in keys:
            with suppress(FileNotFoundError), self._open(key, os.O_RDONLY) as handle:
                values[key] = os.read(handle, 4096).decode().strip()
        return values

    def write(self, values: Iterable[tuple[str, str]], optional: str = "") -> None:
        """Set sysctls; those that start with `optional` may be missing. Raises: OSError."""
        for key, value in values:
            try:
                with self._open(key, os.O_WRONLY) as handle:
                    os.write(handle, value.encode())
            except FileNotFoundError:
                if not (optional and key.startswith(optional)):
                    raise

    @contextmanager
    def _open(self, key: str, flags: int) -> Iterator[int]:
        path = procfs.sysctl_path(key)
        handle = os.open(path, flags | os.O_CLOEXEC, dir_fd=self._directory)
        try:
            yield handle
        finally:
            os.close(handle)


def _open_procfs() -> int:
    """Open a new procfs; where the kernel cannot make one, the one that all share."""
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

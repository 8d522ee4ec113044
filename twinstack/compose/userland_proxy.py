"""Docker's userland proxies: a process for each published port, where the engine runs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from twinstack.linux import procfs


def pids(port: int, proc: Path = procfs.PROC) -> Iterator[int]:
    """Give the proxies of a published port; without one 127.0.0.1 is DNAT too."""
    for pid in procfs.pids(proc):
        words = procfs.cmdline(pid, proc)
        if words and words[0].endswith("docker-proxy") and str(port) in words:
            yield pid

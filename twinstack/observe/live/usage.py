"""What a replica uses: its cgroup's files, held open and read again, and its interfaces' counters.

Source: cgroups(7), proc_pid_net(5).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from twinstack.linux import procfs
from twinstack.observe.live.readings import Usage

_PAGE = 8192


class Group:
    """The files of the cgroup that a process is in. Raises: OSError when the process is gone.

    They are opened once: a read of an open one costs a few microseconds. An interface's counters
    are opened each time: an open file there would keep the namespace from going.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._open: dict[str, int] = {}
        groups = procfs.parse_cgroup(Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"))
        mounts = procfs.parse_hierarchies(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
        self._cpus, _ = procfs.cpu(groups, mounts)
        self._memory = procfs.least(groups, mounts, "memory", "memory.limit_in_bytes", "memory.max")
        for controller, names in (
            ("cpuacct", ("cpuacct.usage",)),
            ("cpu", ("cpu.stat",)),
            ("memory", ("memory.usage_in_bytes", "memory.current", "memory.stat")),
        ):
            for directory in procfs.levels(groups, mounts, controller)[:1]:
                for name in names:
                    with suppress(FileNotFoundError):
                        self._open[name] = os.open(directory / name, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, now_s: float) -> Usage:
        """Read all of it. Raises: OSError, ValueError when it is gone."""
        cpu = _fields(self._text("cpu.stat"))
        spent = self._text("cpuacct.usage")
        throttled = cpu.get("throttled_usec", cpu.get("throttled_time", 0) // 1000)
        memory = _fields(self._text("memory.stat"))
        held = int(self._text("memory.usage_in_bytes") or self._text("memory.current") or 0)
        droppable = memory.get("total_inactive_file", memory.get("inactive_file", 0))
        received, sent = interfaces(Path(f"/proc/{self.pid}/net/dev").read_text())
        return Usage(
            at_s=now_s,
            cpu_us=int(spent) // 1000 if spent else cpu.get("usage_usec", 0),
            throttled_us=throttled,
            memory_bytes=max(held - droppable, 0),
            received_bytes=received,
            sent_bytes=sent,
            cpu_limit=self._cpus,
            memory_limit=self._memory,
        )

    def close(self) -> None:
        """Let go of the files."""
        for handle in self._open.values():
            os.close(handle)
        self._open.clear()

    def _text(self, name: str) -> str:
        handle = self._open.get(name)
        return "" if handle is None else os.pread(handle, _PAGE, 0).decode("ascii")


def _fields(text: str) -> dict[str, int]:
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.isdigit():
            found[name] = int(value)
    return found


def interfaces(text: str) -> tuple[int, int]:
    """Add up the bytes received and sent by all interfaces but the loopback; reads net/dev."""
    received = sent = 0
    for line in text.splitlines()[2:]:
        name, _, numbers = line.partition(":")
        if name.strip() != "lo":
            words = numbers.split()
            received += int(words[0])
            sent += int(words[8])
    return received, sent


def conntrack() -> tuple[int, int] | None:
    """Read how many connections the kernel follows here, and how many it may."""
    folder = Path("/proc/sys/net/netfilter")
    try:
        count = int((folder / "nf_conntrack_count").read_text())
        return count, int((folder / "nf_conntrack_max").read_text())
    except (OSError, ValueError):
        return None

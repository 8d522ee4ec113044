"""What a replica uses: its cgroup's files, held open and read again, and its interfaces' counters.

A process that has just been started is still in the root cgroup, and in the host's network
namespace: both count the whole machine. So the cgroup is the one that the world names for the
replica (`World.cgroup_paths`), and a process in our own network namespace is not looked at yet.

Source: cgroups(7), proc_pid_net(5).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from twinstack.linux import cgroup
from twinstack.linux.cgroup import ControlGroup
from twinstack.observe.live.model import Usage

PROC = Path("/proc")
_PAGE = 8192
_FILES = {
    "cpuacct": ("cpuacct.usage",),
    "cpu": ("cpu.stat",),
    "memory": ("memory.usage_in_bytes", "memory.current", "memory.stat"),
}


class ReplicaCgroup:
    """The cgroup at a path below each controller's mount, and the main process in it.

    The files are opened once: reading an open one costs a few microseconds. An interface's counters
    are opened each time: an open file there would keep the namespace from going.
    Raises: OSError when it is gone; ValueError for the root cgroup, which is no service's.
    """

    def __init__(self, pid: int, path: str, proc: Path = PROC) -> None:
        if not path.strip("/"):
            raise ValueError("the root cgroup counts the whole machine")
        self.pid = pid
        self._proc = proc
        self._open: dict[str, int] = {}
        layout = cgroup.read_layout((proc / "self/mountinfo").read_text(encoding="utf-8"))
        group = ControlGroup.at(path, layout)
        self._limits = group.limits()
        for controller, names in _FILES.items():
            for name in names:
                with suppress(FileNotFoundError):
                    file = group.directory(controller) / name
                    self._open[name] = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        if "memory.stat" not in self._open:
            self.close()
            raise FileNotFoundError(f"cgroup {path} is gone")

    def read(self, now_s: float) -> Usage:
        """Read all of it. Raises: OSError, ValueError when it is gone."""
        process = self._proc / str(self.pid)
        if os.path.samefile(process / "ns/net", self._proc / "self/ns/net"):
            raise ProcessLookupError(f"process {self.pid} has not joined its network namespace")
        cpu = cgroup.parse_flat_keyed(self._text("cpu.stat"))
        spent = self._text("cpuacct.usage")
        memory = cgroup.parse_flat_keyed(self._text("memory.stat"))
        held = int(self._text("memory.usage_in_bytes") or self._text("memory.current") or 0)
        droppable = memory.get("total_inactive_file", memory.get("inactive_file", 0))
        received, sent = interfaces((process / "net/dev").read_text())
        return Usage(
            at_s=now_s,
            cpu_us=int(spent) // 1000 if spent else cpu.get("usage_usec", 0),
            throttled_us=cgroup.throttled_us(cpu),
            memory_bytes=max(held - droppable, 0),
            received_bytes=received,
            sent_bytes=sent,
            cpu_limit=self._limits.cpus,
            memory_limit=self._limits.memory_bytes,
        )

    def close(self) -> None:
        """Let go of the files."""
        for handle in self._open.values():
            os.close(handle)
        self._open.clear()

    def _text(self, name: str) -> str:
        handle = self._open.get(name)
        return "" if handle is None else os.pread(handle, _PAGE, 0).decode("ascii")


class UsageReader:
    """Reads the usage of a world's replicas; `cgroup_paths` is the world's method."""

    def __init__(self, cgroup_paths: Callable[[], Mapping[str, str]], proc: Path = PROC) -> None:
        self._cgroup_paths = cgroup_paths
        self._proc = proc
        self._cgroups: dict[str, ReplicaCgroup] = {}

    def read(self, pids: Mapping[str, int], now_s: float) -> dict[str, Usage]:
        """Read what each main process's replica uses; one that is starting or gone is left out."""
        for name in [name for name, group in self._cgroups.items() if pids.get(name) != group.pid]:
            self._cgroups.pop(name).close()
        if unknown := pids.keys() - self._cgroups.keys():
            paths = self._cgroup_paths()
            for name in unknown & paths.keys():
                with suppress(OSError, ValueError):
                    self._cgroups[name] = ReplicaCgroup(pids[name], paths[name], self._proc)
        usage = {}
        for name, group in list(self._cgroups.items()):
            try:
                usage[name] = group.read(now_s)
            except (OSError, ValueError):
                self._cgroups.pop(name).close()
        return usage

    def close(self) -> None:
        """Let go of everything."""
        self.read({}, 0.0)


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

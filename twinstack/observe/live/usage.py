"""What replicas use: CPU and memory by their cgroups, traffic by their interfaces' counters.

A process that has just been started is still in the root cgroup, and in the host's network
namespace: both count the whole machine. So the cgroup is the one that the world names for the
replica (`LocalWorld.cgroup_paths`), and a process in our own network namespace is not read yet.

Source: cgroups(7), proc_pid_net(5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from twinstack.linux import procfs
from twinstack.linux.cgroup import (
    CgroupLimits,
    ControlGroup,
    parse_flat_keyed,
    read_layout,
    throttled_us,
)
from twinstack.observe.live.model import Usage

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class _Replica:
    """A replica's main process, the cgroup that is its own, and the limits that hold in it."""

    pid: int
    group: ControlGroup
    limits: CgroupLimits
    started_at: float | None = None  # in seconds of the epoch


class UsageReader:
    """Reads the usage of a world's replicas; `cgroup_paths` is the world's method."""

    def __init__(self, cgroup_paths: Callable[[], Mapping[str, str]], proc: Path = PROC) -> None:
        self._cgroup_paths = cgroup_paths
        self._proc = proc
        self._replicas: dict[str, _Replica] = {}

    def read(self, pids: Mapping[str, int], now_s: float) -> dict[str, Usage]:
        """Read what each main process's replica uses; one that is starting or gone is left out."""
        known = {name: one for name, one in self._replicas.items() if pids.get(name) == one.pid}
        if unknown := pids.keys() - known.keys():
            layout = read_layout((self._proc / "self/mountinfo").read_text())
            for name, path in self._cgroup_paths().items():
                if name in unknown and path.strip("/"):  # the root cgroup is no replica's
                    group = ControlGroup.at(path, layout)
                    with suppress(OSError):
                        known[name] = self._replica(pids[name], group)
        usage = {}
        for name, replica in known.items():
            with suppress(OSError, ValueError):  # it ended between two reads
                usage[name] = self._usage(replica, now_s)
        self._replicas = {name: known[name] for name in usage}
        return usage

    def _replica(self, pid: int, group: ControlGroup) -> _Replica:
        replica = _Replica(pid, group, group.limits())
        with suppress(OSError):  # once a process: computed again, it would differ by a little
            return replace(replica, started_at=procfs.started_at(pid, self._proc))
        return replica

    def _usage(self, replica: _Replica, now_s: float) -> Usage:
        process, group = self._proc / str(replica.pid), replica.group
        if (process / "ns/net").samefile(self._proc / "self/ns/net"):
            raise ProcessLookupError(f"process {replica.pid} has not joined its network namespace")
        memory = group.directory("memory")
        current = ("memory.usage_in_bytes", "memory.current")[group.layout.version["memory"] - 1]
        stat = parse_flat_keyed((memory / "memory.stat").read_text())
        droppable = stat.get("total_inactive_file", stat.get("inactive_file", 0))
        received, sent = interfaces((process / "net/dev").read_text())
        cpu = parse_flat_keyed((group.directory("cpu") / "cpu.stat").read_text())
        return Usage(
            at_s=now_s,
            cpu_us=group.cpu_us(),
            throttled_us=throttled_us(cpu),
            memory_bytes=max(int((memory / current).read_text()) - droppable, 0),
            received_bytes=received,
            sent_bytes=sent,
            cpu_limit=replica.limits.cpus,
            memory_limit=replica.limits.memory_bytes,
            started_at=replica.started_at,
            periods=cpu.get("nr_periods"),
            throttled_periods=cpu.get("nr_throttled"),
            pids=_pids(group),
            pids_limit=replica.limits.pids,
        )


def _pids(group: ControlGroup) -> int | None:
    """Give the number of processes and threads; None where no controller counts them."""
    with suppress(OSError, ValueError):
        return int((group.directory("pids") / "pids.current").read_text())
    return None


def interfaces(text: str) -> tuple[int, int]:
    """Add up the bytes received and sent by all interfaces but the loopback; reads net/dev."""
    lines = (line.partition(":") for line in text.splitlines()[2:])
    counters = [numbers.split() for name, _, numbers in lines if name.strip() != "lo"]
    return sum(int(words[0]) for words in counters), sum(int(words[8]) for words in counters)

"""One row of counters: the machine's CPU time and its parts, exact where the kernel counts.

The whole is the root cgroup's counter (or /proc/stat, which samples by ticks, where there is
none). Services are their cgroups; every other process is its own CPU clock, put into a part by what
it is. Programs that began and ended within a window are the client when they are our children, and
else in what is left over.

Source: cgroups(7), proc(5).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.engine.arm import BENCH, CLIENT, ENGINE, IDLE, KERNEL, LEFT_OVER, SERVICES, STRANGERS
from bench.load.speed import SpeedProbe
from twinstack.errors import CannotTell
from twinstack.linux import counters, procfs
from twinstack.linux.cgroup import ControlGroup, Layout, read_layout, read_paths
from twinstack.world import LocalWorld

_KTHREADD = 2


@dataclass(frozen=True, slots=True)
class CounterReading:
    """Counters at one moment. Units: microseconds since some beginning."""

    clock_s: float  # monotonic
    whole_us: float
    stolen_us: float
    children_us: float  # of our ended children: load generators
    services_us: Mapping[tuple[str, str], float]  # by world and replica
    throttled_us: Mapping[str, float]  # by world
    processes_us: Mapping[int, tuple[str, float]]  # by pid: its part, and its time
    work: tuple[int, float] = (0, 0.0)  # pieces of work that were done, and their CPU time


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent between two readings. Units: microseconds."""

    seconds: float
    parts_us: Mapping[str, float]  # they add up to the whole
    services_us: Mapping[str, float]  # by replica
    throttled_us: float
    stolen_us: float
    work_us: float = 0.0  # CPU time of a piece of work; 0: none was done


@dataclass
class Meter:
    """Reads the counters of this machine and of the worlds that are up on it."""

    worlds: Sequence[LocalWorld]
    probe: SpeedProbe | None = None
    _cgroups: dict[tuple[str, str], ControlGroup] = field(init=False, default_factory=dict)
    _parts: dict[int, str] = field(init=False, default_factory=dict)
    _layout: Layout = field(init=False, default_factory=read_layout)

    def __post_init__(self) -> None:
        self._parts |= dict.fromkeys((os.getpid(), *(self.probe.pids if self.probe else ())), BENCH)
        for world in self.worlds:
            self._parts |= dict.fromkeys(world.supervising(), "supervisor")
            for replica, path in world.cgroup_paths().items():
                self._cgroups[world.name, replica] = ControlGroup.at(path.strip("/"), self._layout)

    def assign(self, processes: Mapping[int, str]) -> None:
        """Say which part processes belong to."""
        self._parts |= processes

    def read(self) -> CounterReading:
        """Read all counters. Raises: CannotTell when a replica's are gone."""
        try:
            services = {key: float(cgroup.cpu_us()) for key, cgroup in self._cgroups.items()}
            throttled: dict[str, float] = {world.name: 0.0 for world in self.worlds}
            for (world, _), cgroup in self._cgroups.items():
                throttled[world] += cgroup.throttled_us()
        except OSError as error:
            raise CannotTell("a replica", "has no counters", str(error), "measure again") from error
        stat, ticks_per_second = Path("/proc/stat").read_text(), os.sysconf("SC_CLK_TCK")
        busy_us, stolen_us = counters.parse_stat(stat, ticks_per_second)
        return CounterReading(
            clock_s=time.monotonic(),
            whole_us=self._whole_us() or busy_us,
            stolen_us=stolen_us,
            children_us=counters.children_cpu_s() * 1e6,
            services_us=services,
            throttled_us=throttled,
            processes_us={
                pid: (part, counters.cpu_us(pid))
                for pid in procfs.pids()
                if (part := self._parts.get(pid) or self._classified(pid)) != SERVICES
            },
            work=self.probe.read() if self.probe else (0, 0.0),
        )

    def _whole_us(self) -> float:
        """Read the root cgroup: version 1 counts there, version 2 samples."""
        if self._layout.version.get("cpuacct") == 1:
            return ControlGroup.at("", self._layout).cpu_us()
        return 0.0

    def _classified(self, pid: int) -> str:
        with suppress(OSError):
            paths, status = read_paths(pid), procfs.read_status(pid)
            own = [f"/{cgroup.paths['cpuacct']}/" for cgroup in self._cgroups.values()]
            inside = any(f"{path}/".startswith(tuple(own)) for path in paths.values())
            self._parts[pid] = SERVICES if inside else part_of(pid, status)
            return self._parts[pid]
        return STRANGERS  # it has just ended


def part_of(pid: int, status: Mapping[str, str]) -> str:
    """Say which part a process outside of the services belongs to, by /proc/PID/status; pure."""
    if pid == _KTHREADD or status.get("PPid") == str(_KTHREADD):
        return KERNEL
    name = status.get("Name", "")
    return next((part for part in reversed(ENGINE) if name.startswith(part)), STRANGERS)


def spent(before: CounterReading, after: CounterReading, world: str) -> Spending:
    """Give what was spent between two readings while a world was loaded; pure.

    Raises: CannotTell when a replica restarted meanwhile: its counter went back.
    """
    services: dict[str, float] = {}
    parts = dict.fromkeys((SERVICES, IDLE), 0.0)
    for (name, replica), now_us in after.services_us.items():
        was_us = before.services_us.get((name, replica), 0.0)
        if now_us < was_us:
            cause, remedy = "its CPU counter started again", "look at its log, then measure again"
            raise CannotTell(replica, "restarted during a window", cause, remedy)
        parts[SERVICES if name == world else IDLE] += now_us - was_us
        if name == world:
            services[replica] = now_us - was_us
    parts[CLIENT] = after.children_us - before.children_us
    for pid, (part, now_us) in after.processes_us.items():
        was_us = before.processes_us.get(pid, ("", 0.0))[1]
        # A pid that is used again has a smaller clock than the one before it.
        parts[part] = parts.get(part, 0.0) + (now_us - was_us if now_us >= was_us else now_us)
    parts[LEFT_OVER] = after.whole_us - before.whole_us - sum(parts.values())
    pieces, work_us = (now - was for now, was in zip(after.work, before.work, strict=True))
    return Spending(
        seconds=after.clock_s - before.clock_s,
        parts_us=parts,
        services_us=services,
        throttled_us=after.throttled_us.get(world, 0.0) - before.throttled_us.get(world, 0.0),
        stolen_us=after.stolen_us - before.stolen_us,
        work_us=work_us / pieces if pieces else 0.0,
    )

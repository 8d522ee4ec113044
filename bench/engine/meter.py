"""The host's and the worlds' counters, and what was spent between two readings.

The cgroups of a world's replicas do not show what dockerd, docker-proxy or conntrack in softirq
spend; the host's counters do. Everywhere `cpu` is the world's replicas, and `host` the whole
machine without the load generator. Parsers are pure; the rest only reads.

Source: proc(5): /proc/stat, /proc/loadavg, /proc/net/tcp; getrusage(2).
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

from twinstack.errors import CannotTell
from twinstack.linux.cgroup import ControlGroup
from twinstack.world import LocalWorld

T = TypeVar("T")
_ESTABLISHED, _TIME_WAIT = "01", "06"
_CONNTRACK = Path("/proc/sys/net/netfilter")
#: Kernel tables fuller than this part make connections slow or fail.
_FULL = 0.8


@dataclass(frozen=True, slots=True)
class HostSnapshot:
    """The host's counters at one moment. Units: microseconds of CPU since boot."""

    clock_s: float  # monotonic
    busy_us: int
    stolen_us: int  # taken by the hypervisor
    client_us: int  # of this process's ended children: the load generators
    load: float  # the load average of one minute


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent while something ran. Units: microseconds of CPU."""

    replicas_us: dict[str, dict[str, int]]  # by world, then by replica
    host_us: int  # the whole machine, load generator left out
    client_us: int  # the load generator
    stolen_us: int
    seconds: float
    load: float  # the load average at its end

    def of(self, world: LocalWorld) -> int:
        """Give what a world's replicas spent."""
        return sum(self.replicas_us[world.name].values())


@dataclass(frozen=True, slots=True)
class Rest:
    """What is spent when nobody asks anything: probes, heartbeats, timers.

    Units: microseconds of CPU per second.
    """

    cpu_us_per_s: dict[str, float]  # by world
    host_us_per_s: float

    @property
    def sentence(self) -> str:
        """Say what each world and the host spend."""
        worlds = (f"{name} {us / 1e3:.1f} ms" for name, us in sorted(self.cpu_us_per_s.items()))
        return (
            f"CPU time per second at rest (health probes, leases, timers): {', '.join(worlds)}; "
            f"the whole host {self.host_us_per_s / 1e3:.1f} ms."
        )


@dataclass(frozen=True, slots=True)
class Room:
    """What is left in the kernel's tables for new connections to one destination."""

    ports: int  # local ports
    waiting: int  # sockets to the destination in TIME_WAIT
    tracked: int | None = None  # conntrack entries; None where nothing is tracked
    tracked_most: int | None = None

    def lacks(self, connections: int) -> str:
        """Name what so many more connections would exhaust; empty when all fit.

        A lone run on an empty table always fits: waiting would not help.
        """
        if self.waiting and self.waiting + connections > self.ports * _FULL:
            return "local ports"
        if self.tracked is None or self.tracked_most is None:
            return ""
        # One through a userland proxy is tracked twice, and once more where it is translated.
        full = self.tracked + 3 * connections > self.tracked_most * _FULL
        return "conntrack entries" if full and self.tracked > 3 * connections else ""


def during(worlds: Sequence[LocalWorld], action: Callable[[], T]) -> tuple[T, Spending]:
    """Run an action; give its result and what was spent meanwhile.

    Raises: CannotTell when a replica restarted; as `action`.
    """
    before, start = [world.cpu_us() for world in worlds], snapshot()
    result = action()
    end, after = snapshot(), [world.cpu_us() for world in worlds]
    client_us = end.client_us - start.client_us
    spent: dict[str, dict[str, int]] = {}
    for world, was, now in zip(worlds, before, after, strict=True):
        spent[world.name] = spent_us(was, now)
    return result, Spending(
        replicas_us=spent,
        host_us=max(0, end.busy_us - start.busy_us - client_us),
        client_us=client_us,
        stolen_us=end.stolen_us - start.stolen_us,
        seconds=time.monotonic() - start.clock_s,
        load=end.load,
    )


def rest(worlds: Sequence[LocalWorld], *, seconds: float) -> Rest:
    """Watch worlds at rest for a while. Raises: as `during`."""
    _, spent = during(worlds, lambda: time.sleep(seconds))
    cpu = {str(world.name): spent.of(world) / spent.seconds for world in worlds}
    return Rest(cpu, spent.host_us / spent.seconds)


def spent_us(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Give what each replica spent between two readings.

    Raises: CannotTell when a counter went back or a replica came or went: it was restarted.
    """
    changed = set(before) ^ set(after)
    changed |= {name for name in before if name in after and after[name] < before[name]}
    if changed:
        cause = "its CPU counter started again"
        remedy = "look at its log, then measure again"
        raise CannotTell(", ".join(sorted(changed)), "restarted during a trial", cause, remedy)
    return {name: after[name] - before[name] for name in before}


def throttled_us(pids: Iterable[int]) -> int:
    """Add up how long CPU quotas have kept processes' cgroups waiting. Raises: CannotTell."""
    try:
        return sum(ControlGroup.of(pid).throttled_us() for pid in pids)
    except OSError as error:
        raise CannotTell("CPU quotas", "cannot be read", str(error)) from error


def snapshot() -> HostSnapshot:
    """Read the counters now."""
    stat = Path("/proc/stat").read_text(encoding="ascii")
    busy_us, stolen_us = parse_stat(stat, os.sysconf("SC_CLK_TCK"))
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return HostSnapshot(
        clock_s=time.monotonic(),
        busy_us=busy_us,
        stolen_us=stolen_us,
        client_us=int((children.ru_utime + children.ru_stime) * 1e6),
        load=os.getloadavg()[0],
    )


def connections(address: str, port: int) -> int:
    """Count this host's own established connections to a destination, forwarded ones left out."""
    text = Path("/proc/net/tcp").read_text(encoding="ascii")
    return parse_connections(text).count((IPv4Address(address), port))


def room(address: str, port: int) -> Room:
    """See how many more connections to a destination this host can take."""
    text = Path("/proc/net/tcp").read_text(encoding="ascii")
    ports = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    first, last = (int(word) for word in ports.split())
    return Room(
        ports=last - first + 1,
        waiting=parse_connections(text, _TIME_WAIT).count((IPv4Address(address), port)),
        tracked=_count("nf_conntrack_count"),
        tracked_most=_count("nf_conntrack_max"),
    )


def parse_stat(text: str, ticks_per_second: int) -> tuple[int, int]:
    """Read the first line of /proc/stat: busy and stolen CPU time in microseconds.

    Raises: CannotTell when it is not that file.
    """
    fields = text.split("\n", 1)[0].split()
    if len(fields) < 9 or fields[0] != "cpu":
        raise CannotTell("/proc/stat", "cannot be read", "its first line is not the CPU's")
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
    tick_us = 1_000_000 // ticks_per_second
    return (user + nice + system + irq + softirq) * tick_us, steal * tick_us


def parse_connections(text: str, state: str = _ESTABLISHED) -> list[tuple[IPv4Address, int]]:
    """Read /proc/net/tcp: the remote ends of connections in a state, established by default."""
    remotes = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] == state:
            address, port = fields[2].split(":")
            # The kernel prints an address as a word in the machine's byte order.
            number = int.from_bytes(bytes.fromhex(address), "little")
            remotes.append((IPv4Address(number), int(port, 16)))
    return remotes


def _count(name: str) -> int | None:
    try:
        return int((_CONNTRACK / name).read_text(encoding="ascii"))
    except (OSError, ValueError):  # the kernel tracks no connections here
        return None

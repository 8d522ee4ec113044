"""What the whole host did meanwhile: CPU time, load, stolen time, open connections; read only.

The cgroups of a world's replicas do not show what dockerd, docker-proxy, conntrack in softirq or
`ab` itself burn; the host's counters do. Parsers are pure, `snapshot` and `connections` read.

Source: proc(5): /proc/stat, /proc/loadavg, /proc/net/tcp.
"""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from bench.engine.design import Room
from twinstack.errors import CannotTell

_ESTABLISHED, _TIME_WAIT = "01", "06"
_CONNTRACK = Path("/proc/sys/net/netfilter")


@dataclass(frozen=True, slots=True)
class HostSnapshot:
    """Counters at one moment. Units: microseconds of CPU since boot, seconds for `clock_s`.

    `client_us` is the CPU time of this process's ended children: the load generators.
    """

    clock_s: float
    busy_us: int
    stolen_us: int
    client_us: int
    load: float


def parse_stat(text: str, ticks_per_second: int) -> tuple[int, int]:
    """Read the first line of /proc/stat: busy and stolen CPU time in microseconds.

    Raises: CannotTell when it is not that file.
    """
    fields = text.split("\n", 1)[0].split()
    if len(fields) < 9 or fields[0] != "cpu":
        raise CannotTell("/proc/stat", "cannot be read", "its first line is not the CPU's", "")
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(one) for one in fields[1:9])
    tick_us = 1_000_000 // ticks_per_second
    return (user + nice + system + irq + softirq) * tick_us, steal * tick_us


def parse_connections(text: str, state: str = _ESTABLISHED) -> list[tuple[IPv4Address, int]]:
    """Read /proc/net/tcp: the far ends of connections in a state, established by default."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] == state:
            address, port = fields[2].split(":")
            found.append((_address(address), int(port, 16)))
    return found


def _address(text: str) -> IPv4Address:
    """Read an address as the kernel prints it: a word in the machine's byte order."""
    return IPv4Address(int.from_bytes(bytes.fromhex(text), "little"))


def snapshot() -> HostSnapshot:
    """Read the counters now."""
    busy_us, stolen_us = parse_stat(
        Path("/proc/stat").read_text(encoding="ascii"), os.sysconf("SC_CLK_TCK")
    )
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return HostSnapshot(
        clock_s=time.monotonic(),
        busy_us=busy_us,
        stolen_us=stolen_us,
        client_us=int((children.ru_utime + children.ru_stime) * 1e6),
        load=os.getloadavg()[0],
    )


def connections(address: str, port: int) -> int:
    """Count this host's own established connections to a destination.

    Forwarded ones (from other machines) are not seen here; the CPU time of an idle world tells.
    """
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


def _count(name: str) -> int | None:
    try:
        return int((_CONNTRACK / name).read_text(encoding="ascii"))
    except (OSError, ValueError):  # the kernel tracks no connections here
        return None

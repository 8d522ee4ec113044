"""What the kernel counts of a process, of a network and of the machine.

Source: proc(5); clock_getcpuclockid(3): a process's clock is named by its pid's complement;
getrusage(2).
"""

from __future__ import annotations

import re
import resource
import time
from contextlib import suppress

from twinstack.errors import CannotTell
from twinstack.linux import process
from twinstack.linux.procfs import PROC

#: The scheduler's clock, among a process's CPU clocks the exact one.
_CPUCLOCK_SCHED = 2


def cpu_us(pid: int) -> float:
    """Give a process's CPU time to the nanosecond, ended threads' too; 0 when it has ended."""
    with suppress(OSError):
        return time.clock_gettime_ns(~pid << 3 | _CPUCLOCK_SCHED) / 1e3
    return 0.0


def children_cpu_s() -> float:
    """Give the CPU time of our children that ended; os.times() would count in steps of 10 ms."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def parse_stat(text: str, ticks_per_second: int) -> tuple[float, float]:
    """Read the first line of /proc/stat: busy and stolen CPU time in microseconds.

    Raises: CannotTell when it is not that file.
    """
    fields = text.split("\n", 1)[0].split()
    if len(fields) < 9 or fields[0] != "cpu":
        raise CannotTell("/proc/stat", "cannot be read", "its first line is not the CPU's")
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
    tick_us = 1e6 / ticks_per_second
    return (user + nice + system + irq + softirq) * tick_us, steal * tick_us


def pss_bytes(pid: int) -> int:
    """Give a process's proportional set size: shared pages by parts; 0 when it has just ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return parse_pss((PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii"))
    return 0


def parse_pss(text: str) -> int:
    """Read smaps_rollup. Units: bytes."""
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0


def snmp(pid: int) -> dict[tuple[str, str], int]:
    """Read what a process's network has counted, by protocol and name. Raises: OSError."""
    return parse_snmp((PROC / str(pid) / "net/snmp").read_text(encoding="ascii"))


def parse_snmp(text: str) -> dict[tuple[str, str], int]:
    """Read /proc/net/snmp: a line of names and a line of values for each protocol."""
    lines = [line.split() for line in text.splitlines()]
    return {
        (names[0].rstrip(":"), name): int(value)
        for names, values in zip(lines[::2], lines[1::2], strict=True)
        for name, value in zip(names[1:], values[1:], strict=True)
    }


def packets(pid: int | str, link: str) -> float:
    """Read how many packets a link has received or sent, the smaller one; 0 without the link."""
    for line in (PROC / str(pid) / "net/dev").read_text().splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == link:
            return min(float(counters.split()[place]) for place in (1, 9))
    return 0.0


def rule_packets(pid: int | str, *parts: str) -> float:
    """Add up the packets that those rules of a network counted whose text has all the parts."""
    words = f"nsenter --net=/proc/{pid}/ns/net iptables-save --counters"
    saved = process.run(words.split()).stdout.splitlines()
    matching = (line for line in saved if line[:1] == "[" and all(part in line for part in parts))
    return float(sum(int(line[1:].partition(":")[0]) for line in matching))

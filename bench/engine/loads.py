"""The loads of an arm: a run of ab, of wrk, or of any program, as what a window does.

A load looks first whether the kernel has room for it: each new connection leaves an entry in
conntrack for two minutes, and a local port in TIME_WAIT where the client closes first.

Source: proc(5): /proc/net/tcp; nf_conntrack-sysctl.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from bench.engine import probe
from bench.load import Tally, ab, wrk
from bench.load.ab import AbLoad
from twinstack.errors import CannotTell, StepFailed
from twinstack.world import Endpoint

Load = Callable[[], Tally]
_ESTABLISHED, _TIME_WAIT = "01", "06"
_CONNTRACK = Path("/proc/sys/net/netfilter")
#: Kernel tables fuller than this part make connections slow or fail.
_FULL = 0.8
#: conntrack forgets a closed connection after 120 s, the kernel after 60 s.
_ROOM_S, _QUIET_S = 130.0, 2.0


def by_ab(endpoint: Endpoint, load: AbLoad) -> Load:
    """Send one run of ab. Raises: CannotTell when the endpoint does not answer 2xx."""
    size = len(probe.get_ok(endpoint, load.path))

    def run() -> Tally:
        if not load.keepalive:
            await_room(endpoint, load.requests)
        return ab.run(endpoint, load, size)

    return run


def by_wrk(
    url: str,
    connections: int,
    seconds: int,
    *,
    prefix: Sequence[str] = (),
    headers: Sequence[str] = (),
    script: Path | None = None,
) -> Load:
    """Drive a URL for some seconds over connections that are kept (unless a header closes them).

    `prefix` is a command to run wrk under.
    """
    words = [*prefix, *wrk.command(url, connections, seconds, headers, script)]
    return lambda: wrk.run(words, seconds)


def by_program(words: Sequence[str], directory: Path) -> Load:
    """Run a program once: one request. Its figures: "seconds", "cpu_s", "peak_bytes"."""

    def run() -> Tally:
        quiet, start_s = subprocess.DEVNULL, time.monotonic()
        with subprocess.Popen(words, cwd=directory, stdout=quiet, stderr=quiet) as running:
            _, status, usage = os.wait4(running.pid, 0)
            running.returncode = os.waitstatus_to_exitcode(status)
        if running.returncode:
            remedy = f'run "{" ".join(words[:4])} …" by hand'
            raise StepFailed(words[0], "failed", f"exit code {running.returncode}", remedy)
        figures = {"cpu_s": usage.ru_utime + usage.ru_stime, "peak_bytes": usage.ru_maxrss * 1024.0}
        return Tally(1, 0, {"seconds": time.monotonic() - start_s, **figures})

    return run


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


def room(address: str, port: int) -> Room:
    """See how many more connections to a destination this host can take."""
    ports = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    first, last = (int(word) for word in ports.split())
    return Room(
        ports=last - first + 1,
        waiting=_sockets(_TIME_WAIT).count((IPv4Address(address), port)),
        tracked=_count("nf_conntrack_count"),
        tracked_most=_count("nf_conntrack_max"),
    )


def await_room(endpoint: Endpoint, connections: int) -> None:
    """Wait until earlier connections have left the kernel's tables. Raises: CannotTell."""
    deadline = time.monotonic() + _ROOM_S
    while lacking := room(endpoint.address, endpoint.port).lacks(connections):
        if time.monotonic() > deadline:
            cause = f"this host is short of {lacking}"
            remedy = "see what else opens connections here, or measure with --keepalive"
            raise CannotTell(endpoint.url(), "cannot be loaded now", cause, remedy)
        time.sleep(1)


def require_quiet(endpoints: Sequence[Endpoint]) -> None:
    """Check that no client on this host is connected to an entry point. Raises: CannotTell."""
    deadline = time.monotonic() + _QUIET_S  # earlier connections may still be closing
    wanted = {(IPv4Address(endpoint.address), endpoint.port) for endpoint in endpoints}
    while busy := wanted.intersection(_sockets(_ESTABLISHED)):
        if time.monotonic() > deadline:
            address, port = busy.pop()
            remedy = "stop it (a browser, a dashboard, another benchmark) and measure again"
            raise CannotTell(f"{address}:{port}", "is not idle", "a client is connected", remedy)
        time.sleep(0.02)


def parse_sockets(text: str, state: str = _ESTABLISHED) -> list[tuple[IPv4Address, int]]:
    """Read /proc/net/tcp: the remote ends of sockets in a state, established by default."""
    remotes = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] == state:
            address, port = fields[2].split(":")
            # The kernel prints an address as a word in the machine's byte order.
            number = int.from_bytes(bytes.fromhex(address), "little")
            remotes.append((IPv4Address(number), int(port, 16)))
    return remotes


def _sockets(state: str) -> list[tuple[IPv4Address, int]]:
    return parse_sockets(Path("/proc/net/tcp").read_text(encoding="ascii"), state)


def _count(name: str) -> int | None:
    try:
        return int((_CONNTRACK / name).read_text(encoding="ascii"))
    except (OSError, ValueError):  # the kernel tracks no connections here
        return None

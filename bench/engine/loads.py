"""The loads of an arm (a run of ab, of wrk, of any program), and one plain request to begin with.

A load looks first whether the kernel has room for it: each new connection leaves an entry in
conntrack for two minutes, and a local port in TIME_WAIT where the client closes first.

Source: nf_conntrack-sysctl.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from bench.load import Tally, ab, wrk
from bench.load.ab import AbLoad
from twinstack.errors import CannotTell, StepFailed
from twinstack.linux import sock_diag
from twinstack.linux.procfs import sysctl_numbers
from twinstack.world import Endpoint

Load = Callable[[], Tally]

#: Kernel tables fuller than this part make connections slow or fail.
_FULL = 0.8
#: conntrack forgets a closed connection after 120 s, the kernel after 60 s.
_ROOM_S, _QUIET_S = 130.0, 2.0


def by_ab(endpoint: Endpoint, load: AbLoad) -> Load:
    """Send one run of ab. Raises: CannotTell when the endpoint does not answer 2xx."""
    size = len(get_ok(endpoint, load.path))

    def run() -> Tally:
        if not load.keepalive:
            await_room(endpoint, load.requests)
        return ab.run(endpoint, load, size)

    return run


def by_wrk(
    url: str,
    connections: int,
    seconds: float,
    *,
    prefix: Sequence[str] = (),
    headers: Sequence[str] = (),
    script: Path | None = None,
) -> Load:
    """Drive a URL for some seconds over connections that are kept (unless a header closes them).

    Units: seconds, in tenths. `prefix` is a command to run wrk under.
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
    first, last = sysctl_numbers("net.ipv4.ip_local_port_range")
    waiting = sock_diag.peers("TIME_WAIT")[IPv4Address(address), port]
    tracked, most = (sysctl_numbers(f"net.netfilter.nf_conntrack_{of}") for of in ("count", "max"))
    return Room(last - first + 1, waiting, next(iter(tracked), None), next(iter(most), None))


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
    while busy := wanted.intersection(sock_diag.peers("ESTABLISHED")):
        if time.monotonic() > deadline:
            address, port = busy.pop()
            remedy = "stop it (a browser, a dashboard, another benchmark) and measure again"
            raise CannotTell(f"{address}:{port}", "is not idle", "a client is connected", remedy)
        time.sleep(0.02)


def get_ok(endpoint: Endpoint, path: str, *, timeout_s: float = 5.0) -> bytes:
    """Ask once, on its own connection; gives the body. Raises: CannotTell unless it is 2xx."""
    url = endpoint.url(path)
    connection = http.client.HTTPConnection(endpoint.address, endpoint.port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        cause = str(error) or type(error).__name__
        remedy = 'bring the world up ("invoke net.up", "invoke docker.up")'
        raise CannotTell(url, "does not answer", cause, remedy) from error
    finally:
        connection.close()
    if not 200 <= response.status < 300:
        cause = body[:120].decode("utf-8", "replace")
        remedy = "choose a --path that answers 2xx: errors are not measured"
        raise CannotTell(url, f"answers {response.status}", cause, remedy)
    return body


def wait_ok(endpoint: Endpoint, path: str, *, timeout_s: float) -> bytes:
    """Ask until the answer is 2xx. Raises: CannotTell with the last failure at the timeout."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return get_ok(endpoint, path)
        except CannotTell:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)

"""Windows of an unbroken load: how many requests the edge answered in some seconds, and their cost.

A shared machine is fast and slow in turn, for some seconds each. Trials with a load of their own
are too far apart for that; windows of one load are not. nginx counts its own requests, and is
asked from inside its namespace, so that no flow or port has to be opened for it.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from bench.engine import meter
from bench.engine.worlds import EDGE
from bench.load.wrk import HeldLoad
from twinstack.errors import StepFailed
from twinstack.linux import child
from twinstack.observe.live.probes import STATUS_PATH, requests_of
from twinstack.world import LocalWorld

_COUNT = struct.Struct("=dQ")
_TIMEOUT_S = 5.0

#: Gives a moment (monotonic) and how many requests the edge had been sent by then.
EdgeCounter = Callable[[], tuple[float, int]]


@dataclass(frozen=True, slots=True)
class Window:
    """Some seconds of a load. Units: microseconds of CPU."""

    seconds: float
    answered: int
    cpu_us: int  # the world's replicas
    host_us: int  # the whole machine, load generator left out
    client_us: int  # the load generator

    @property
    def rate(self) -> float:
        return self.answered / self.seconds

    @property
    def cpu_us_per_request(self) -> float:
        return self.cpu_us / self.answered

    @property
    def host_us_per_request(self) -> float:
        return self.host_us / self.answered


def window(world: LocalWorld, count: EdgeCounter, load: HeldLoad, seconds: float) -> Window:
    """Measure a load that runs for some seconds. Raises: StepFailed; CannotTell."""

    def counted() -> tuple[float, int, int]:
        client_us, (start_s, first) = load.cpu_us(), count()
        time.sleep(seconds)
        end_s, last = count()
        return end_s - start_s, last - first, load.cpu_us() - client_us

    (elapsed_s, answered, client_us), spent = meter.during([world], counted)
    return Window(elapsed_s, answered, spent.of(world), spent.host_us - client_us, client_us)


@contextmanager
def counting(world: LocalWorld) -> Iterator[EdgeCounter]:
    """Count the edge's requests while the block lasts, the counter's own left out.

    Raises: StepFailed when nginx does not answer.
    """
    pid = world.main_pids()[EDGE]
    ours, theirs = socket.socketpair()
    counter = _Counter(theirs)
    with ours, theirs:
        ours.settimeout(_TIMEOUT_S)
        inside = child.staying(EDGE, Path(f"/proc/{pid}/ns/net"), counter.ask, counter.serve)

        def count() -> tuple[float, int]:
            ours.send(b"?")
            try:
                moment, requests = _COUNT.unpack(ours.recv(_COUNT.size))
            except (TimeoutError, struct.error) as error:
                remedy = 'look at "invoke health"'
                raise StepFailed(EDGE, "cannot be counted", "no response", remedy) from error
            return float(moment), int(requests)

        with inside:
            yield count


class _Counter:
    """Asks nginx for its count, on one kept connection inside the namespace."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._connection = HTTPConnection("127.0.0.1", 80, timeout=_TIMEOUT_S)
        self._own = 0

    def ask(self) -> tuple[float, int]:
        """Ask once, and again on a new connection if nginx has closed this one."""
        try:
            return self._ask()
        except (OSError, HTTPException):
            self._connection.close()
            return self._ask()

    def serve(self) -> None:
        """Answer every question of the parent process until it is gone."""
        while self._channel.recv(1):
            self._channel.send(_COUNT.pack(*self.ask()))

    def _ask(self) -> tuple[float, int]:
        self._connection.request("GET", STATUS_PATH, headers={"Host": "localhost"})
        self._own += 1
        response = self._connection.getresponse()
        total = requests_of(response.read())
        if total is None:
            raise StepFailed(EDGE, "cannot be counted", f"its status page says {response.status}")
        return time.monotonic(), total - self._own

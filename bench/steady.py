"""One unbroken load on the edge, counted in short windows while something is on and off in turn.

A machine that others share is quick and slow by turns of some seconds. Trials with a load of their
own are far apart for that; windows of one load are not. nginx itself counts, asked from inside its
namespace, so that nothing is opened or denied for it.
"""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import host, wrk
from bench.measure import spent_us
from twinstack import entering
from twinstack.errors import Missing, StepFailed
from twinstack.observe.live.questions import STATUS_PATH, http_answer, requests_of
from twinstack.world import World

_DOOR = "nginx-lb"
_QUESTION = f"GET {STATUS_PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
_TOLD = struct.Struct("=dQ")
_PATIENCE_S = 5.0
_ENDS_S = 10.0

#: Gives a moment (monotonic) and how many requests the edge had been asked by then.
Count = Callable[[], tuple[float, int]]


@dataclass(frozen=True, slots=True)
class Window:
    """Some seconds of the load. Units: seconds, microseconds of CPU (the world's, the host's)."""

    seconds: float
    answered: int
    cpu_us: int
    host_us: int

    @property
    def rate(self) -> float:
        """Give requests per second."""
        return self.answered / self.seconds


@contextmanager
def counting(world: World) -> Iterator[Count]:
    """Count the edge's requests for as long as the block lasts; our own questions left out.

    Raises: StepFailed when nginx does not answer.
    """
    pid = world.mains()[_DOOR]
    ours, theirs = socket.socketpair()
    counter = _Counter(theirs)
    with ours, theirs:
        ours.settimeout(_PATIENCE_S)
        inside = entering.staying(_DOOR, Path(f"/proc/{pid}/ns/net"), counter.ask, counter.serve)

        def count() -> tuple[float, int]:
            ours.send(b"?")
            try:
                moment, requests = _TOLD.unpack(ours.recv(_TOLD.size))
            except (TimeoutError, struct.error) as error:
                raise StepFailed(_DOOR, "cannot be counted", "it does not answer",
                                 'look at "invoke health"') from error  # fmt: skip
            return float(moment), int(requests)

        with inside:
            yield count


class _Counter:
    """Asks nginx on a connection that it keeps, inside the namespace."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._link: socket.socket | None = None
        self._own = 0

    def ask(self) -> tuple[float, int]:
        """Ask once, and once more on a new connection if nginx has ended this one."""
        try:
            return self._ask()
        except OSError:
            self._link = None
            return self._ask()

    def serve(self) -> None:
        """Answer every question of the parent's until it is gone."""
        while self._channel.recv(1):
            self._channel.send(_TOLD.pack(*self.ask()))

    def _ask(self) -> tuple[float, int]:
        if self._link is None:
            self._link = socket.create_connection(("127.0.0.1", 80), _PATIENCE_S)
        self._link.sendall(_QUESTION)
        self._own += 1
        data = b""
        while (answer := http_answer(data)) is None:
            piece = self._link.recv(4096)
            if not piece:
                raise ConnectionResetError("nginx ended the connection")
            data += piece
        total = requests_of(answer.body)
        if total is None:
            raise StepFailed(_DOOR, "cannot be counted", f"it answers {answer.status}")
        return time.monotonic(), total - self._own


@contextmanager
def loaded(url: str, *, connections: int, most_s: int) -> Iterator[Callable[[], wrk.WrkReport]]:
    """Keep wrk asking while the block lasts; gives what ends it and reads its report.

    Units: seconds. Raises: Missing without wrk; StepFailed when it ended early.
    """
    words = ["wrk", "--latency", "-t", "1", "-c", str(connections), "-d", f"{most_s}s",
             "--timeout", "5s", url]  # fmt: skip
    try:
        running = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)  # fmt: skip
    except FileNotFoundError as error:
        raise Missing("wrk", "cannot be run", "it is missing", 'run "make setup"') from error

    def ended() -> wrk.WrkReport:
        if running.poll() is not None:
            raise StepFailed("wrk", "ended early", f"exit {running.returncode}", "run it again")
        running.send_signal(signal.SIGINT)  # it reports what it has
        said, _ = running.communicate(timeout=_ENDS_S)
        return wrk.parse(said)

    try:
        yield ended
    finally:
        if running.poll() is None:
            running.kill()
        running.wait()


def window(world: World, count: Count, seconds: float) -> Window:
    """Count for some seconds. Raises: StepFailed."""
    cpu, before = world.cpu_us(), host.snapshot()
    began_s, first = count()
    time.sleep(seconds)
    ended_s, last = count()
    after = host.snapshot()
    return Window(ended_s - began_s, last - first, spent_us(cpu, world.cpu_us()),
                  after.busy_us - before.busy_us)  # fmt: skip

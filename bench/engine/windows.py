"""One unbroken load on the edge, counted in short windows while something is on and off in turn.

A machine that others share is quick and slow by turns of some seconds. Trials with a load of their
own are far apart for that; windows of one load are not. nginx itself counts, asked from inside its
namespace, so that nothing is opened or denied for it.
"""

from __future__ import annotations

import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.engine import meter
from bench.engine.trials import spent_us
from bench.engine.worlds import EDGE
from bench.load import wrk
from twinstack.errors import Missing, StepFailed
from twinstack.linux import child
from twinstack.observe.live.probes import STATUS_PATH, http_answer, requests_of
from twinstack.world import LocalWorld

_QUESTION = f"GET {STATUS_PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
_TOLD = struct.Struct("=dQ")
_PATIENCE_S = 5.0
_ENDS_S, _AGAIN_S = 10.0, 0.5
#: Of a process's CPU clocks, the exact one.
_SCHEDULED = 2

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
def counting(world: LocalWorld) -> Iterator[Count]:
    """Count the edge's requests for as long as the block lasts; our own questions left out.

    Raises: StepFailed when nginx does not answer.
    """
    pid = world.main_pids()[EDGE]
    ours, theirs = socket.socketpair()
    counter = _Counter(theirs)
    with ours, theirs:
        ours.settimeout(_PATIENCE_S)
        inside = child.staying(EDGE, Path(f"/proc/{pid}/ns/net"), counter.ask, counter.serve)

        def count() -> tuple[float, int]:
            ours.send(b"?")
            try:
                moment, requests = _TOLD.unpack(ours.recv(_TOLD.size))
            except (TimeoutError, struct.error) as error:
                raise StepFailed(
                    EDGE, "cannot be counted", "it does not answer", 'look at "invoke health"'
                ) from error
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
            raise StepFailed(EDGE, "cannot be counted", f"it answers {answer.status}")
        return time.monotonic(), total - self._own


@dataclass(frozen=True, slots=True)
class Load:
    """A wrk that asks until it is ended; it may be held meanwhile, its connections open."""

    running: subprocess.Popen[str]

    def hold(self) -> None:
        """Let it ask nothing."""
        self.running.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it ask again."""
        self.running.send_signal(signal.SIGCONT)

    def cpu_us(self) -> int:
        """Give the CPU time of its threads so far. Raises: StepFailed when it has ended.

        Source: clock_getcpuclockid(3): a process's clock is named by its pid's complement.
        """
        try:
            return time.clock_gettime_ns(~self.running.pid << 3 | _SCHEDULED) // 1_000
        except OSError as error:
            raise _early(self.running.poll()) from error

    def ended(self) -> wrk.WrkReport:
        """End it and read its report. Raises: StepFailed when it had ended; CannotTell."""
        if self.running.poll() is not None:
            raise _early(self.running.returncode)
        self.go_on()
        deadline_s = time.monotonic() + _ENDS_S
        while time.monotonic() < deadline_s:
            # It reports what it has. Only its main thread sleeps until the end, and a thread that
            # was just let go leaves a signal to others.
            self.running.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                said, _ = self.running.communicate(timeout=_AGAIN_S)
                return wrk.parse(said)
        raise StepFailed("wrk", "does not end", f"{_ENDS_S:g} s after it was told", "run it again")


@contextmanager
def loaded(
    url: str, *, connections: int, most_s: int, patience_s: int = 5, held: bool = False
) -> Iterator[Load]:
    """Keep wrk asking while the block lasts; `held` begins it stopped.

    Units: seconds, `patience_s` until an answer counts as lost. Raises: Missing without wrk.
    """
    if shutil.which("wrk") is None:
        raise Missing("wrk", "cannot be run", "it is missing", 'run "make setup"')
    # A held one would outlive whoever held it.
    words = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "wrk",
        "--latency",
        "-t",
        "1",
        "-c",
        str(connections),
        "-d",
        f"{most_s}s",
        "--timeout",
        f"{patience_s}s",
        url,
    ]
    running = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    load = Load(running)
    try:
        if held:
            _await_wrk(running)
            load.hold()
        yield load
    finally:
        if running.poll() is None:
            running.kill()
        running.wait()


def _await_wrk(running: subprocess.Popen[str]) -> None:
    """Wait until setpriv has become wrk: held earlier, it would not have asked for its end yet."""
    comm = Path(f"/proc/{running.pid}/comm")
    while running.poll() is None and comm.read_text(encoding="ascii") != "wrk\n":
        time.sleep(0.001)


def _early(code: int | None) -> StepFailed:
    return StepFailed("wrk", "ended early", f"exit {code}", "run it again")


def window(world: LocalWorld, count: Count, seconds: float) -> Window:
    """Count for some seconds. Raises: StepFailed."""
    cpu, before = world.cpu_us(), meter.snapshot()
    began_s, first = count()
    time.sleep(seconds)
    ended_s, last = count()
    after = meter.snapshot()
    return Window(
        ended_s - began_s,
        last - first,
        spent_us(cpu, world.cpu_us()),
        after.busy_us - before.busy_us,
    )

"""A client and a server of `bench.load.echo` in their place, and the proofs of the path between.

A proof is a counter that moves at least once for each request (each on a connection of its own), or
a state of the running server that is read back. A place counts only while all its proofs hold.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.engine.arm import CLIENT, PROGRAMS
from bench.load import Tally, echo
from twinstack.errors import CannotTell, NotHealthy
from twinstack.linux import procfs
from twinstack.linux.counters import cpu_us
from twinstack.linux.session import Session, started

PYTHON = str(Path(sys.executable).resolve())
#: Client, server and a log's reader share the last CPU.
CPU = max(os.sched_getaffinity(0))
_PROBES, _MOST, _PATIENCE_S = 50, 10_000_000, 15.0
#: A log's reader may be late.
_LATE_S = 1.0
#: What a request writes to a log, at least.
LINE_BYTES = 20


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows that requests take a rung's path."""

    words: str
    read: Callable[[LadderPlace], float]
    least: float = 1.0  # so much for each request; 0: it is a state, and not nought


@dataclass(frozen=True, slots=True)
class LadderPlace:
    """Where the pair stands."""

    name: str
    client: subprocess.Popen[str]
    server: int  # its pid
    parts: Mapping[int, str]  # what the programs' CPU time counts as
    errors: IO[str]
    proofs: Mapping[str, Proof]  # by rung
    between: int = 0  # the pid of a process in the network between
    log: IO[bytes] | None = None
    reader: int = 0  # the pid of what reads the log

    def run(self, kind: str, seconds: float, count: int = _MOST) -> Tally:
        """Send requests for some time, or so many. Raises: CannotTell when an answer is missing.

        Its figures: "seconds", "time_us" of a request in the median batch, and "cpu_us" of the
        programs on the way: what the kernel does for a packet is its sender's.
        """
        assert self.client.stdin is not None
        assert self.client.stdout is not None
        before_us = sum(map(cpu_us, self.parts))
        with suppress(BrokenPipeError):
            self.client.stdin.write(f"{kind} {seconds} {count}\n")
            self.client.stdin.flush()
        ready, *_ = select.select([self.client.stdout], [], [], seconds + _PATIENCE_S)
        if line := self.client.stdout.readline().split() if ready else []:
            spent_us, time_us = sum(map(cpu_us, self.parts)) - before_us, float(line[2]) * 1e6
            figures = {"seconds": float(line[1]), "cpu_us": spent_us, "time_us": time_us}
            return Tally(int(line[0]), 0, figures)
        self.errors.seek(0)
        cause = (self.errors.read().strip().splitlines() or ["no answer in time"])[-1]
        raise CannotTell(self.name, "lost a request", cause)

    def prove(self) -> dict[str, str]:
        """Send some requests, and give each rung's proof. Raises: CannotTell where one fails."""
        before = {rung: proof.read(self) for rung, proof in self.proofs.items()}
        done, shown = self.run(echo.NEW, _PATIENCE_S, _PROBES).done, {}
        for rung, proof in self.proofs.items():
            needed, deadline = max(proof.least * done, 1), time.monotonic() + _LATE_S
            while True:
                moved = proof.read(self) - (before[rung] if proof.least else 0)
                if moved >= needed or time.monotonic() > deadline:
                    break
                time.sleep(0.02)
            if moved < needed:
                cause = f"{proof.words} moved by {moved:g} in {done} requests"
                raise CannotTell(f"{self.name}: {rung}", "is not on the path", cause)
            shown[rung] = f"{proof.words} {moved / done:.1f}" if proof.least else proof.words
        return shown


def inside(pid: int) -> list[str]:
    """Give the words that enter the network of a process; 0: this host's own."""
    return ["nsenter", f"--net=/proc/{pid}/ns/net"] if pid else []


def serving(listen: str, *, log: bool = False, seccomp: str = "") -> list[str]:
    """Give the words of a server."""
    return _words("serve", listen, "log" if log else "", seccomp)


@contextmanager
def standing(
    name: str,
    server: Sequence[str],
    address: str | Callable[[], str],
    proofs: Mapping[str, Proof],
    *,
    networks: tuple[int, int, int] = (0, 0, 0),
    log: str = "",
    find: Callable[[Session], Sequence[int]] | None = None,
    also: Sequence[int] = (),
) -> Iterator[LadderPlace]:
    """Start a pair, and end it. `networks`: pids in the client's, the server's, the one between.

    `log` is "", "file", "pipe" or "json". `find` gives the server's pids, itself last, where it is
    no child that becomes it. `also`: programs on the way.
    Raises: NotHealthy when the server does not start; as what `find` and `address` do.
    """
    with ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile("w+"))
        file = stack.enter_context(tempfile.TemporaryFile()) if log in {"file", "json"} else None

        def start(words: Sequence[str], output: IO[str] | IO[bytes] | int) -> subprocess.Popen[str]:
            pipes = {"stdin": subprocess.PIPE, "stdout": output, "stderr": errors}
            return stack.enter_context(started(words, signals=[signal.SIGKILL], **pipes))

        output: IO[str] | IO[bytes] | int = file or subprocess.DEVNULL
        reader = 0
        if log in {"pipe", "json"}:
            drain = start(_words("drain", log.removeprefix("pipe")), output)
            assert drain.stdin is not None
            output, reader = drain.stdin, drain.pid
        own = Session(start([*inside(networks[1]), *server], output).pid)
        pids = find(own) if find else _await_server(name, own)
        asked = address if isinstance(address, str) else address()
        client = start([*inside(networks[0]), *_words("drive", asked)], subprocess.PIPE)
        programs = {pid for pid in (*own.pids(), *pids, *also, reader) if pid}
        parts = {**dict.fromkeys(programs, PROGRAMS), client.pid: CLIENT}
        yield LadderPlace(name, client, pids[-1], parts, errors, proofs, networks[2], file, reader)


def _words(*arguments: str) -> list[str]:
    text = Path(echo.__file__).read_text(encoding="utf-8")
    return [PYTHON, "-I", "-S", "-c", text, str(CPU), *arguments]


def _await_server(name: str, own: Session) -> list[int]:
    """Wait until what was started has become the server."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        for pid in own.pids():
            if procfs.cmdline(pid)[:1] == (PYTHON,):
                return [pid]
        time.sleep(0.005)
    raise NotHealthy(name, "has no server", "it did not start")

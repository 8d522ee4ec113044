"""A client and a server of `bench.load.echo` in their place, and the proof of the path between.

A proof is a counter that moves at least once for each request (or connection: here each request has
its own), or a state of the running server that is read back. A place is believed only when all its
proofs hold.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bench.engine.arm import CLIENT, PROGRAMS, Tally
from bench.load import echo
from bench.load.programs import Running
from twinstack.errors import CannotTell, NotHealthy
from twinstack.linux import process, procfs

PYTHON = str(Path(sys.executable).resolve())
#: Client, server and a log's reader share the last CPU.
CPU = max(os.sched_getaffinity(0))
_PROBES = 50
_PATIENCE_S, _MOST = 15.0, 10_000_000


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows that requests take a rung's path."""

    words: str
    read: Callable[[Place], float]
    least: float = 1.0  # so much for each request; 0: it is a state, and not nought


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pair stands."""

    name: str
    client: subprocess.Popen[str]
    server: int  # its pid
    between: int  # the pid of a process in the network between, where proofs are read
    parts: Mapping[int, str]  # what the programs' CPU time counts as
    errors: IO[str]
    log: IO[bytes] | None = None
    reader: int = 0  # the pid of what reads the log
    proofs: Mapping[str, Proof] = field(default_factory=dict)  # by rung

    def run(self, kind: str, seconds: float, count: int = _MOST) -> Tally:
        """Send requests for some time, or so many. Raises: CannotTell when an answer is missing."""
        assert self.client.stdin and self.client.stdout
        with suppress(BrokenPipeError):
            self.client.stdin.write(f"{kind} {seconds} {count}\n")
            self.client.stdin.flush()
        ready, *_ = select.select([self.client.stdout], [], [], seconds + _PATIENCE_S)
        line = self.client.stdout.readline().split() if ready else []
        if not line:
            raise CannotTell(self.name, "lost a request", self.why(), "see that rung's set-up")
        return Tally(int(line[0]), 0, {"seconds": float(line[1])})

    def why(self) -> str:
        """Give the last line of what its programs wrote."""
        self.errors.seek(0)
        return (self.errors.read().strip().splitlines() or ["no answer in time"])[-1]

    def prove(self) -> dict[str, str]:
        """Send some requests, and give each rung's proof. Raises: CannotTell where one fails."""
        before = {rung: proof.read(self) for rung, proof in self.proofs.items()}
        done = self.run(echo.NEW, _PATIENCE_S, _PROBES).done
        shown = {}
        for rung, proof in self.proofs.items():
            moved = proof.read(self) - (before[rung] if proof.least else 0)
            if moved < max(proof.least * done, 1):
                cause = f"{proof.words} moved by {moved:g} in {done} requests"
                raise CannotTell(f"{self.name}: {rung}", "is not on the path", cause)
            shown[rung] = f"{proof.words} {moved / done:.1f}" if proof.least else proof.words
        return shown


def inside(pid: int) -> list[str]:
    """Give the words that enter the network of a process; 0: this host's own."""
    return ["nsenter", f"--net=/proc/{pid}/ns/net"] if pid else []


def serving(listen: str, *, log: bool = False, seccomp: str = "", python: str = PYTHON) -> list[str]:
    """Give the words of a server."""
    return [*_words(python), "serve", listen, "log" if log else "", seccomp]


@contextmanager
def standing(
    name: str,
    server: Sequence[str],
    address: str,
    *,
    networks: tuple[int, int, int] = (0, 0, 0),
    log: str = "",
    find: Callable[[Running], Sequence[int]] | None = None,
    also: Sequence[int] = (),
    proofs: Mapping[str, Proof] | None = None,
) -> Iterator[Place]:
    """Start a pair, and end it. `networks`: pids in the client's, the server's, the one between.

    `log` is "", "file", "pipe" or "json". `find` gives the server's pids, itself last, where it is
    no child that becomes it. `also`: programs on the way.
    Raises: NotHealthy when the server does not answer; StepFailed.
    """
    with ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile("w+"))
        file = stack.enter_context(tempfile.TemporaryFile()) if log in {"file", "json"} else None

        def start(words: Sequence[str], output: IO[bytes] | int | None) -> subprocess.Popen[str]:
            started = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
            stack.callback(_end, started)
            return started

        reader, output = None, file
        if log in {"pipe", "json"}:
            form = "json" if log == "json" else ""
            reader = start([*_words(PYTHON), "drain", form], file or subprocess.DEVNULL)
            output = reader.stdin.buffer  # type: ignore[union-attr]
        child = start([*inside(networks[1]), *server], output or subprocess.DEVNULL)
        own = Running(name, child.pid, Path())
        pids = (find or _await_server)(own)
        client = start([*inside(networks[0]), *_words(PYTHON), "drive", address], subprocess.PIPE)
        parts = dict.fromkeys((*own.pids(), *pids, *also), PROGRAMS) | {client.pid: CLIENT}
        parts |= {reader.pid: PROGRAMS} if reader else {}
        between, read_by = networks[2], reader.pid if reader else 0
        yield Place(
            name, client, pids[-1], between, parts, errors, file, read_by, dict(proofs or {})
        )


def _words(python: str) -> list[str]:
    text = Path(echo.__file__).read_text(encoding="utf-8")
    return [python, "-I", "-S", "-c", text, str(CPU)]


def _await_server(started: Running) -> list[int]:
    """Wait until what was started has become the server. Raises: NotHealthy."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        for pid in started.pids():
            if procfs.cmdline(pid)[:1] == (PYTHON,):
                return [pid]
        time.sleep(0.005)
    raise NotHealthy(started.name, "has no server", "it did not start")


def _end(started: subprocess.Popen[str]) -> None:
    """End a program and what it started: all read their input, and end with it."""
    for pid in Running("", started.pid, Path()).pids():
        with suppress(ProcessLookupError):
            os.kill(pid, 9)
    started.wait()
    for pipe in (started.stdin, started.stdout):
        if pipe:
            with suppress(BrokenPipeError):
                pipe.close()


def packets(pid: int, link: str) -> float:
    """Read how many packets a link has received or sent, the smaller one; 0 without the link."""
    for line in Path(f"/proc/{pid or 'self'}/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == link:
            counters = numbers.split()
            return min(float(counters[1]), float(counters[9]))
    return 0.0


def forwarded(pid: int) -> float:
    """Read how many packets a network has routed. Source: /proc/net/snmp."""
    lines = Path(f"/proc/{pid}/net/snmp").read_text().splitlines()
    heads, values = (line.split() for line in lines[:2])
    return float(values[heads.index("ForwDatagrams")])


def rules(pid: int, *parts: str) -> float:
    """Add up the packets that those rules of a network counted whose text has all the parts."""
    saved = process.run([*inside(pid), "iptables-save", "--counters"]).stdout
    return float(
        sum(
            int(line[1:].partition(":")[0])
            for line in saved.splitlines()
            if line.startswith("[") and all(part in line for part in parts)
        )
    )

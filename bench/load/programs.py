"""Start programs to compare with, each in a role's root tree, and leave none behind.

A reference program gets what a service of the namespace world gets, in fewer words: a role's
tree as its root, scratch mounts in a mount namespace that dies with it, an unprivileged user,
and, if asked, the network of a replica. It has no cgroup: what is measured here is unlimited.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinstack.errors import Missing, NotHealthy, StepFailed
from twinstack.linux import procfs

#: No service's user: no reference program may touch a service's files.
USER = 30990
_STOP_S, _SIGNALS = 5.0, (signal.SIGTERM, signal.SIGKILL)
#: The scheduler's clock, among a process's CPU clocks the exact one.
_CPUCLOCK_SCHED = 2


@dataclass(frozen=True, slots=True)
class Program:
    """One program to start."""

    name: str
    command: tuple[str, ...]
    tree: Path | None = None  # its root; None: the host's own
    binds: tuple[tuple[Path, str], ...] = ()  # a directory of the host, and where in the tree
    environment: Mapping[str, str] = field(default_factory=dict)
    network: int | None = None  # the pid of the network namespace that it joins


@dataclass(frozen=True, slots=True)
class Session:
    """A program, the leader of a session, and all that it started."""

    pid: int

    def pids(self) -> tuple[int, ...]:
        """List its living processes."""
        return tuple(_living(self.pid))

    def pause(self) -> None:
        """Stop all of it in an instant."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let all of it run."""
        os.killpg(self.pid, signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class Running(Session):
    """A started reference program."""

    name: str
    log: Path

    def tail(self) -> str:
        """Give the end of what it printed."""
        with contextlib.suppress(OSError):
            return " ".join(self.log.read_text(errors="replace").split())[-300:]
        return ""


def launch_words(program: Program) -> list[str]:
    """Give the command line that starts a program in its root tree and network."""
    network = (
        [] if program.network is None else ["nsenter", f"--net=/proc/{program.network}/ns/net"]
    )
    # SIGTERM when this process dies, even by SIGKILL: nothing is left behind then either.
    confined = (
        f"setpriv --reuid={USER} --regid={USER} --clear-groups --inh-caps=-all"
        " --bounding-set=-all --no-new-privs --pdeathsig TERM env -i"
    )
    environment = (f"{key}={value}" for key, value in program.environment.items())
    as_user = [*confined.split(), *environment, *program.command]
    if program.tree is None:
        return [*network, *as_user]
    # A tree has no mount point that is not in it: each of these is, in every tree.
    lines = [
        f"root={shlex.quote(str(program.tree))}",
        'mount -t tmpfs -o mode=1777,size=64m tmpfs "$root/tmp"',
        'mount -t tmpfs -o mode=1777,size=1m tmpfs "$root/run"',
        'mount --rbind /dev "$root/dev"',
        'mount -t proc proc "$root/proc"',
    ]
    for source, target in program.binds:
        lines.append(f'mount --bind {shlex.quote(str(source))} "$root"{shlex.quote(target)}')
        lines.append(f'mount -o remount,bind,ro "$root"{shlex.quote(target)}')
    lines.append(f'exec chroot "$root" {shlex.join(as_user)}')
    script = "set -e\n" + "\n".join(lines)
    return [*network, *["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c"], script]


@contextmanager
def started(
    words: Sequence[str], *, signals: Sequence[signal.Signals] = _SIGNALS, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a session of its own while the block lasts; all of it is gone after it.

    `signals` end it, the next one where the last did not. What it prints is dropped unless
    `options` of Popen say otherwise.
    """
    silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    settings = {**silent, "text": True, "start_new_session": True, **options}
    with subprocess.Popen(words, **settings) as leader:
        try:
            yield leader
        finally:
            _stop(leader.pid, signals)
            if leader.stdin:
                with contextlib.suppress(BrokenPipeError):  # what it has not read
                    leader.stdin.close()


def announced(name: str, program: subprocess.Popen[str], sign: str, within_s: float) -> str:
    """Wait for the line of a program's standard error that begins so, and give it.

    Raises: StepFailed when it ends before, or is too late.
    """
    assert program.stderr is not None
    timer = threading.Timer(within_s, program.kill)
    timer.start()
    text = ""
    try:
        for line in program.stderr:
            if line.startswith(sign):
                return line
            text += line
    finally:
        timer.cancel()
    cause = text.strip()[-300:] or f"it printed nothing within {within_s:g} s"
    raise StepFailed(name, "does not start", cause, "start it by hand")


@contextmanager
def running(programs: Sequence[Program]) -> Iterator[dict[str, Running]]:
    """Run reference programs while the block lasts. Raises: Missing unless root asks."""
    if os.geteuid() != 0:
        raise Missing("reference programs", "cannot be started", "only root may", "use sudo")
    with workspace() as directory, ExitStack() as stack:
        by_name = {}
        for program in programs:
            log = directory / f"{program.name}.log"
            output = stack.enter_context(log.open("wb"))
            log.chmod(0o666)  # nginx opens its standard output again, as nobody in particular.
            words = launch_words(program)
            leader = stack.enter_context(started(words, stdout=output, stderr=output))
            by_name[program.name] = Running(leader.pid, program.name, log)
        yield by_name


def await_port(program: Running, address: str, port: int, *, timeout_s: float = 15.0) -> None:
    """Wait until a program accepts connections. Raises: NotHealthy with the end of its log."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and program.pids():
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return
        time.sleep(0.05)
    cause = program.tail() or "it printed nothing"
    raise NotHealthy(program.name, f"does not listen on {address}:{port}", cause)


@contextmanager
def workspace() -> Iterator[Path]:
    """Give a directory that an unprivileged program can read, while the block lasts."""
    with tempfile.TemporaryDirectory(prefix="twinstack-bench-") as directory:
        place = Path(directory)
        place.chmod(0o755)
        yield place


def free_port() -> int:
    """Give a port of loopback on which nothing listens now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def nginx_conf(http: str) -> str:
    """Write an nginx.conf of one worker that logs nothing and keeps connections; pure."""
    spools = "\n".join(
        f"    {kind}_temp_path /tmp/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        "daemon off;\nworker_processes 1;\npid /tmp/nginx.pid;\nerror_log stderr warn;\n"
        "events { worker_connections 1024; }\n"
        f"http {{\n{spools}\n    access_log off;\n    keepalive_requests 100000000;\n{http}\n}}\n"
    )


def cpu_us(pid: int) -> float:
    """Give a process's CPU time to the nanosecond, ended threads' too; 0 when it has ended.

    Source: clock_getcpuclockid(3): a process's clock is named by its pid's complement.
    """
    with contextlib.suppress(OSError):
        return time.clock_gettime_ns(~pid << 3 | _CPUCLOCK_SCHED) / 1e3
    return 0.0


def _living(session: int) -> Iterator[int]:
    for pid in procfs.pids():
        with contextlib.suppress(OSError):
            process = procfs.stat(pid)
            if process.session == session and process.state != "Z":
                yield pid


def _stop(session: int, signals: Sequence[signal.Signals]) -> None:
    """End all processes of a session, also paused ones."""
    for sign in signals:
        for pid in _living(session):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
                os.kill(pid, signal.SIGCONT)
        deadline = time.monotonic() + _STOP_S
        while any(_living(session)) and time.monotonic() < deadline:
            time.sleep(0.02)

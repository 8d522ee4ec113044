"""Programs in sessions of their own, ended with all that they started. Source: setsid(2)."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from twinstack.errors import StepFailed
from twinstack.linux import procfs
from twinstack.linux.waiting import until

_STOP_S, _SIGNALS = 5.0, (signal.SIGTERM, signal.SIGKILL)


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
                with suppress(BrokenPipeError):  # what it has not read
                    leader.stdin.close()


@contextmanager
def cleared(script: str) -> Iterator[None]:
    """Have a shell run a script when the block ends, or when this process has ended in any way."""
    words = ["sh", "-c", f"read _\n{script}"]
    quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(
        words, stdin=pipe, stdout=quiet, stderr=quiet, start_new_session=True
    ) as shell:
        try:
            yield
        finally:
            shell.communicate(b"\n")


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


def _living(session: int) -> Iterator[int]:
    for pid in procfs.pids():
        with suppress(OSError):
            process = procfs.stat(pid)
            if process.session == session and process.state != "Z":
                yield pid


def _stop(session: int, signals: Sequence[signal.Signals]) -> None:
    """End all processes of a session, also paused ones."""
    for sign in signals:
        for pid in _living(session):
            with suppress(ProcessLookupError):
                os.kill(pid, sign)
                os.kill(pid, signal.SIGCONT)
        until(lambda: not any(_living(session)), _STOP_S, every_s=0.02)

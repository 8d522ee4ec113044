"""How a machine is spoken to: a command by ssh, or an order that is obeyed and answered.

What is told goes by standard input alone: a command line is in the process list of both ends.
Source: ssh(1).
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, BinaryIO

from twinstack.errors import StepFailed
from twinstack.model.placement import Host
from twinstack.reconcile import Progress

_PATIENCE_S = 10
#: How long a machine that was told to stop may take to undo what was half-done.
_UNDO_S = 60.0


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, and the words that run a command on it (the command follows as one word)."""

    host: Host
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.host.name


def machine(host: Host, options: Sequence[str] = (), user: str = "root") -> Machine:
    """Say how a host is reached: never by a password, and not for ever."""
    own = (
        "-o",
        "BatchMode=yes",
        "-o",
        f"ConnectTimeout={_PATIENCE_S}",
        "-o",
        "ServerAliveInterval=5",
        "-o",
        "ServerAliveCountMax=3",
    )
    return Machine(host, ("ssh", *own, *options, f"{user}@{host.address}"))


def run(
    one: Machine, command: str, source: BinaryIO | None = None, *, bound_s: float = 60.0
) -> str:
    """Run a command on a machine and give what it printed; `source` is its standard input.

    Raises: StepFailed when the machine cannot be reached, refuses, or takes longer.
    """
    try:
        done = subprocess.run(
            [*one.words, command],
            stdin=source or subprocess.DEVNULL,
            capture_output=True,
            timeout=bound_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _unended(one, bound_s) from error
    _check(one, done.returncode, done.stderr.decode(errors="replace"))
    return done.stdout.decode(errors="replace")


def converse(
    one: Machine,
    command: str,
    order: bytes,
    progress: Progress,
    stop: threading.Event,
    *,
    bound_s: float,
) -> str:
    """Give an order, tell its progress as it comes, and give the last line of the answer.

    The channel stays open meanwhile: when `stop` is set it is closed, and whoever obeys stops and
    undoes. Raises: StepFailed as `run`.
    """
    # A session of its own: a Ctrl-C here reaches us alone, and we tell the machine.
    process = subprocess.Popen(
        [*one.words, command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    said: deque[str] = deque(maxlen=20)
    told: deque[str] = deque(maxlen=1)

    def hear(line: str) -> None:
        said.append(line)
        progress(line)

    readers = [_reading(process.stderr, hear), _reading(process.stdout, told.append)]
    try:
        with suppress(BrokenPipeError):  # its exit code tells why
            process.stdin.write(order + b"\n")
            process.stdin.flush()
        deadline = time.monotonic() + bound_s
        while process.poll() is None:
            late = time.monotonic() > deadline
            if (late or stop.is_set()) and not process.stdin.closed:
                with suppress(BrokenPipeError):
                    process.stdin.close()
                deadline = time.monotonic() + _UNDO_S
            elif late:
                raise _unended(one, bound_s)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
    finally:
        process.kill()
        process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()
        for reader in readers:
            reader.join(_PATIENCE_S)
    _check(one, process.returncode, "\n".join(said))
    if not told:
        raise StepFailed(f"host {one.name}", "does not answer", "\n".join(said)[-500:])
    return told[-1]


def _reading(stream: IO[bytes], take: Callable[[str], object]) -> threading.Thread:
    def read() -> None:
        with stream:
            for line in stream:
                take(line.decode(errors="replace").rstrip())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _check(one: Machine, code: int, said: str) -> None:
    cause = said.strip()[-500:] or f"ssh exited {code}"
    if code == 255:  # ssh's own
        raise StepFailed(
            f"host {one.name}", "cannot be reached", cause, f'try "{" ".join(one.words)} true"'
        )
    if code != 0:
        raise StepFailed(f"host {one.name}", "refused", cause)


def _unended(one: Machine, bound_s: float) -> StepFailed:
    return StepFailed(f"host {one.name}", "did not end", f"still at work after {bound_s:g} s")

"""Run a command on a machine by ssh, or send the agent there a request.

Requests go by standard input alone: a command line is in the process list of both ends.
Source: ssh(1).
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, BinaryIO

from twinstack.errors import StepFailed
from twinstack.model.placement import Host
from twinstack.reconcile import Progress

_CONNECT_S = 10
#: How long a machine may take to undo what was half done, once its channel is closed.
_UNDO_S = 60.0
#: Never ask for a password, and notice a machine that has gone.
_OPTIONS = (
    f"-o BatchMode=yes -o ConnectTimeout={_CONNECT_S}"
    " -o ServerAliveInterval=5 -o ServerAliveCountMax=3"
)


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, and the prefix of a command for it; the command follows as one argument."""

    host: Host
    prefix: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.host.name


def machine(host: Host, options: Sequence[str] = ()) -> Machine:
    """Give a host as a machine that ssh reaches."""
    return Machine(host, ("ssh", *_OPTIONS.split(), *options, f"root@{host.address}"))


def run(
    machine: Machine, command: str, stdin: BinaryIO | None = None, *, timeout_s: float = 60.0
) -> str:
    """Run a command on a machine and give what it printed.

    Raises: StepFailed when the machine cannot be reached, refuses, or takes longer.
    """
    try:
        done = subprocess.run(
            [*machine.prefix, command],
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _timed_out(machine, timeout_s) from error
    _check(machine, done.returncode, done.stderr.decode(errors="replace"))
    return done.stdout.decode(errors="replace")


def request(
    machine: Machine,
    command: str,
    payload: bytes,
    progress: Progress,
    stop: threading.Event,
    *,
    timeout_s: float,
) -> str:
    """Send a request to a command, show its progress, and give the last line it prints.

    The channel stays open meanwhile. When `stop` is set it is closed: the agent then stops and
    undoes. Raises: StepFailed as `run`.
    """
    errors: deque[str] = deque(maxlen=20)

    def report(lines: IO[bytes]) -> None:
        with lines:
            for line in lines:
                errors.append(line.decode(errors="replace").rstrip())
                progress(errors[-1])

    with TemporaryFile() as output:
        # In a session of its own: Ctrl-C reaches us alone; closing the channel stops the machine.
        process = subprocess.Popen(
            [*machine.prefix, command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None
        reader = threading.Thread(target=report, args=(process.stderr,), daemon=True)
        reader.start()
        try:
            with suppress(BrokenPipeError):  # its exit code says why
                process.stdin.write(payload + b"\n")
                process.stdin.flush()
            deadline = time.monotonic() + timeout_s
            while process.poll() is None:
                late = time.monotonic() > deadline
                if (late or stop.is_set()) and not process.stdin.closed:
                    with suppress(BrokenPipeError):
                        process.stdin.close()
                    deadline = time.monotonic() + _UNDO_S
                elif late:
                    raise _timed_out(machine, timeout_s)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
        finally:
            process.kill()
            process.wait()
            with suppress(BrokenPipeError):
                process.stdin.close()
            reader.join(_CONNECT_S)
        output.seek(0)
        lines = output.read().decode(errors="replace").splitlines()
    _check(machine, process.returncode, "\n".join(errors))
    if not lines:
        raise StepFailed(f"host {machine.name}", "does not answer", "\n".join(errors)[-500:])
    return lines[-1]


def _check(machine: Machine, code: int, errors: str) -> None:
    cause = errors.strip()[-500:] or f"ssh exited {code}"
    if code == 255:  # ssh's own
        remedy = f'try "{" ".join(machine.prefix)} true"'
        raise StepFailed(f"host {machine.name}", "cannot be reached", cause, remedy)
    if code != 0:
        raise StepFailed(f"host {machine.name}", "refused", cause)


def _timed_out(machine: Machine, timeout_s: float) -> StepFailed:
    return StepFailed(f"host {machine.name}", "did not end", f"still running after {timeout_s:g} s")

"""Run a command on a machine by ssh, send the agent there a request, or work on many at once.

Requests go by standard input alone: a command line is in the process list of both ends.
Source: ssh(1).
"""

from __future__ import annotations

import shlex
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, BinaryIO, TypeVar

from twinstack.errors import NotHealthy, StepFailed, TwinstackError, raise_all
from twinstack.model.placement import Host
from twinstack.reconcile import Progress

Result = TypeVar("Result")
_CONNECT_S = 10
_UNREACHED = 255  # ssh's own exit code
#: How long a machine may take to undo what was half done, once its channel is closed.
_UNDO_S = 60.0
#: Never ask for a password, and notice a machine that has gone.
_OPTIONS = (
    f"-o BatchMode=yes -o ConnectTimeout={_CONNECT_S}"
    " -o ServerAliveInterval=5 -o ServerAliveCountMax=3"
)


class Stopped(TwinstackError):
    """A machine was stopped because another one failed."""


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


def attached(machine: Machine, command: Sequence[str], *, terminal: bool) -> int:
    """Run a command on a machine with our input and outputs, and give its exit code.

    `terminal`: it gets one there too. Raises: StepFailed when the machine cannot be reached.
    """
    program, *options = machine.prefix
    wanted = ["-t"] if terminal and program == "ssh" else []
    # ssh hands one line to a shell, which takes it apart again.
    line = [program, *wanted, *options, shlex.join(command)]
    code = subprocess.run(line, check=False).returncode
    if code == _UNREACHED:
        _check(machine, code, "")
    return code


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
    if code == _UNREACHED:
        remedy = f'try "{" ".join(machine.prefix)} true"'
        raise StepFailed(f"host {machine.name}", "cannot be reached", cause, remedy)
    if code != 0:
        raise StepFailed(f"host {machine.name}", "refused", cause)


def _timed_out(machine: Machine, timeout_s: float) -> StepFailed:
    return StepFailed(f"host {machine.name}", "did not end", f"still running after {timeout_s:g} s")


def raise_failures(failures: Iterable[TwinstackError]) -> None:
    """Raise the one failure, or all of them as one; do nothing without any.

    Machines that were stopped are left out where another one failed.
    """
    flat = [inner for failure in failures for inner in getattr(failure, "failures", (failure,))]
    causes = [failure for failure in flat if not isinstance(failure, Stopped)] or flat
    raise_all("machines", causes)


def each(
    machines: Sequence[Machine], work: Callable[[Machine], Result], stop: threading.Event
) -> tuple[dict[str, Result], dict[str, TwinstackError]]:
    """Work on every machine at once, and give the results and the failures by machine.

    `stop` is set when one fails by more than an unhealthy service, and when we are interrupted.
    """
    failures: dict[str, TwinstackError] = {}

    def attempt(machine: Machine) -> tuple[str, Result] | None:
        try:
            return machine.name, work(machine)
        except TwinstackError as error:
            causes = getattr(error, "failures", (error,))
            if not all(isinstance(cause, NotHealthy) for cause in causes):
                stop.set()
            failures[machine.name] = error
            return None

    with ThreadPoolExecutor(max_workers=max(1, len(machines))) as pool:
        try:
            return dict(filter(None, pool.map(attempt, machines))), failures
        except BaseException:
            stop.set()  # and the pool waits until all have stopped
            raise


def results(
    machines: Sequence[Machine],
    work: Callable[[Machine], Result],
    stop: threading.Event | None = None,
) -> dict[str, Result]:
    """Work on every machine at once. Raises: the one failure, or SeveralFailed."""
    found, failures = each(machines, work, stop or threading.Event())
    raise_failures(failures.values())
    return found

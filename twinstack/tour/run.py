"""Run a command of the tour by bash, show its output as it comes, and end all of it in time."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: How long a command may take, and then its end. Units: seconds.
_LONGEST_S, _ENDING_S = 60.0, 20.0
_ASKING_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class RanCommand:
    """A command that was run, as bash got it. Units: seconds."""

    command: str
    exit_code: int
    as_expected: bool  # its exit code
    seconds: float
    output: str  # what it wrote to both its outputs


def run(
    command: str,
    expected: int,
    *,
    environment: Mapping[str, str],
    directory: Path,
    show: Callable[[str], None],
    longest_s: float = _LONGEST_S,
) -> RanCommand:
    """Run a command and what it starts, to their end; `show` gets each line.

    All of it gets SIGTERM when it takes too long, or when this ends by an exception, and is waited
    for: what a command changes it then puts back. Raises: OSError where there is no bash.
    """
    began = time.monotonic()
    alive, held = os.pipe()  # every program of the command holds it open, wherever it writes to
    process = subprocess.Popen(
        ["bash", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        cwd=directory,
        pass_fds=(held,),
        process_group=0,  # Ctrl-C is ours: what bash put in the background ignores it
    )
    os.close(held)
    late = threading.Timer(longest_s, _signal, (process, signal.SIGTERM))
    late.start()
    lines = []
    assert process.stdout is not None
    with process.stdout as output:
        try:
            for line in output:
                lines.append(line)
                show(line.rstrip("\n"))
        except BaseException:
            _end(process, alive)
            raise
        finally:
            late.cancel()
            os.close(alive)
    code = process.wait()
    return RanCommand(
        command, code, code == expected, round(time.monotonic() - began, 3), "".join(lines)
    )


def _end(process: subprocess.Popen[str], alive: int) -> None:
    """End all that a command started, and wait until nobody holds the pipe `alive` open.

    Another Ctrl-C, or SIGTERM, comes when that is done.
    """
    killer = threading.Timer(_ENDING_S, _signal, (process, signal.SIGKILL))
    killer.start()
    former = signal.pthread_sigmask(signal.SIG_BLOCK, _ASKING_TO_END)
    try:
        _signal(process, signal.SIGTERM)
        os.read(alive, 1)
        process.wait()
    finally:
        killer.cancel()
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)

"""Run programs: no shell, a time limit, and errors that name the command."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from twinstack.errors import Missing, StepFailed


def run(
    command: Sequence[str],
    *,
    stdin: str | None = None,
    timeout_s: float = 60.0,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and give its output.

    Units: timeout in seconds. Raises: Missing when there is no such program; StepFailed when it
    cannot be started, exits non-zero (unless `check` is false) or exceeds its time limit.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            # An inherited terminal would let a child read the user's keys.
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env=None if environment is None else dict(environment),
            cwd=directory,
            check=False,
        )
    except OSError as error:
        raise _not_started(words, error) from error
    except subprocess.TimeoutExpired as error:
        raise _timed_out(words, timeout_s) from error
    if check and done.returncode != 0:
        raise _exited(words, done.returncode, done.stderr or done.stdout)
    return done


def begin(command: Sequence[str], *, stdin: str = "", timeout_s: float = 60.0) -> Callable[[], str]:
    """Start a short command; give what waits for its end and gives its output.

    Other work can go on meanwhile: the output waits in memory, not in a pipe that would fill up.
    Units: timeout in seconds. Raises: Missing, StepFailed, as `run`; so does what it gives.
    """
    words = [str(word) for word in command]
    output = os.fdopen(os.memfd_create(words[0]), "w+b")
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except OSError as error:
        output.close()
        raise _not_started(words, error) from error
    if process.stdin is not None:
        with suppress(BrokenPipeError):  # it ended at once: its exit code says why
            process.stdin.write(stdin)
            process.stdin.close()
        process.stdin = None

    def wait() -> str:
        with output:
            try:
                _, errors = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.wait()
                raise _timed_out(words, timeout_s) from error
            output.seek(0)
            text = output.read().decode(errors="replace")
        if process.returncode != 0:
            raise _exited(words, process.returncode, errors or text)
        return text

    return wait


def _not_started(words: Sequence[str], error: OSError) -> Missing | StepFailed:
    """Tell a program that is missing from a host that lacks memory."""
    cause = error.strerror or str(error)
    if isinstance(error, FileNotFoundError):
        return Missing(words[0], "cannot be run", cause, 'run "make setup" (or "invoke doctor")')
    return StepFailed(words[0], "cannot be started", cause, "try again")


def _timed_out(words: Sequence[str], timeout_s: float) -> StepFailed:
    return StepFailed(shlex.join(words), "did not end", f"still running after {timeout_s:g} s")


def _exited(words: Sequence[str], code: int, output: str) -> StepFailed:
    cause = output.strip()[-2000:] or "it printed nothing"
    return StepFailed(shlex.join(words), f"exited {code}", cause)

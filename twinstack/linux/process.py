"""Run other people's programs: no shell, a bound on time, and errors that say what was run."""

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
    """Run `command` to its end and give what it printed.

    Units: timeout in seconds. Raises: Missing when the program is not there; StepFailed when it
    cannot be started, exits non-zero (unless `check` is false) or outlives its bound.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            # An inherited terminal would let a child swallow the user's keys.
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
        raise StepFailed(
            shlex.join(words), "did not end", f"still running after {timeout_s:g} s"
        ) from error
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise StepFailed(
            shlex.join(words), f"exited {done.returncode}", said[-2000:] or "it said nothing"
        )
    return done


def begin(command: Sequence[str], *, stdin: str = "", timeout_s: float = 60.0) -> Callable[[], str]:
    """Start a short `command`, and give what waits for its end and gives what it printed.

    Other work may be done meanwhile: what it prints waits in memory, not in a pipe that would be
    full. Units: timeout in seconds. Raises: Missing when the program is not there; StepFailed; what
    it gives raises StepFailed as `run` does.
    """
    words = [str(word) for word in command]
    said = os.fdopen(os.memfd_create(words[0]), "w+b")
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except OSError as error:
        said.close()
        raise _not_started(words, error) from error
    if process.stdin is not None:
        with suppress(BrokenPipeError):  # it ended at once: its exit code tells why
            process.stdin.write(stdin)
            process.stdin.close()
        process.stdin = None

    def wait() -> str:
        with said:
            try:
                _, errors = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.wait()
                raise StepFailed(
                    shlex.join(words), "did not end", f"still running after {timeout_s:g} s"
                ) from error
            said.seek(0)
            printed = said.read().decode(errors="replace")
        if process.returncode != 0:
            raise StepFailed(
                shlex.join(words),
                f"exited {process.returncode}",
                (errors or printed).strip()[-2000:] or "it said nothing",
            )
        return printed

    return wait


def _not_started(words: Sequence[str], error: OSError) -> Missing | StepFailed:
    """Say why a program was not started: it is not there, or the host lacks memory."""
    cause = error.strerror or str(error)
    if isinstance(error, FileNotFoundError):
        return Missing(words[0], "cannot be run", cause, 'run "make setup" (or "invoke doctor")')
    return StepFailed(words[0], "cannot be started", cause, "try again")

"""Run programs: no shell, a time limit, and errors that name the command."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from twinstack.errors import Missing, StepFailed


def run(
    command: Sequence[str],
    *,
    stdin: str = "",
    timeout_s: float = 60.0,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and give its output.

    Units: timeout in seconds. Raises: Missing when there is no such program; StepFailed when it
    cannot be started, exits non-zero (unless `check` is false) or exceeds its time limit.
    """
    return begin(
        command,
        stdin=stdin,
        timeout_s=timeout_s,
        environment=environment,
        directory=directory,
        check=check,
    )()


def begin(
    command: Sequence[str],
    *,
    stdin: str = "",
    timeout_s: float = 60.0,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    check: bool = True,
) -> Callable[[], subprocess.CompletedProcess[str]]:
    """Start a command as `run` does; give what waits for its end and gives its output.

    Other work can go on meanwhile: input and output are in memory, not in a pipe that would fill
    up. Raises: Missing, StepFailed, as `run`; so does what it gives.
    """
    words = [str(word) for word in command]
    output = os.fdopen(os.memfd_create("output"), "w+", errors="replace")
    try:
        with os.fdopen(os.memfd_create("input"), "w+") as source:
            source.write(stdin)
            source.seek(0)
            process = subprocess.Popen(
                words,
                # An inherited terminal would let a child read the user's keys.
                stdin=source if stdin else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=environment,
                cwd=directory,
            )
    except OSError as error:
        output.close()
        cause = error.strerror or str(error)
        if isinstance(error, FileNotFoundError):
            remedy = 'run "make setup" (or "invoke doctor")'
            raise Missing(words[0], "cannot be run", cause, remedy) from error
        # The host lacks memory, or the like.
        raise StepFailed(words[0], "cannot be started", cause, "try again") from error

    def wait() -> subprocess.CompletedProcess[str]:
        with output, process:
            try:
                _, errors = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired as error:
                cause = f"still running after {timeout_s:g} s"
                raise StepFailed(shlex.join(words), "did not end", cause) from error
            finally:
                process.kill()  # nothing, once it has ended
            output.seek(0)
            done = subprocess.CompletedProcess(words, process.returncode, output.read(), errors)
        if check and done.returncode != 0:
            cause = (done.stderr or done.stdout).strip()[-2000:] or "it printed nothing"
            raise StepFailed(shlex.join(words), f"exited {done.returncode}", cause)
        return done

    return wait

"""The Compose program: Compose v2 or later from a Python package, run as it is.

Its configuration (DOCKER_CONFIG) is a private directory, so that the user's ~/.docker does not
matter. Each run is remembered by its process, so that Ctrl-C ends exactly that one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from twinstack.errors import Missing, StepFailed

_PROGRAM = "docker-compose"
_CAUSE_CHARACTERS = 600
_END_TIMEOUT_S = 5.0


def compose_program() -> Path:
    """Give the Compose program that was installed with this interpreter. Raises: Missing."""
    program = Path(sysconfig.get_path("scripts")) / _PROGRAM
    if not program.exists():
        raise Missing(_PROGRAM, "is not installed", f"there is no {program}", 'run "make setup"')
    return program


@dataclass(frozen=True)
class ComposeRun:
    """A run of Compose. Its output goes to a file, so that it never waits for a reader."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def failure(self) -> str:
        """Give what it printed if it ended with an error; else empty."""
        if not self.process.poll():
            return ""
        self.output.seek(0)
        text = self.output.read().decode(errors="replace").strip()
        return text or f"it exited with {self.process.returncode}"


@dataclass(frozen=True, slots=True)
class ComposeProject:
    """One compose project on the engine at `url`; `state` holds the private configuration."""

    name: str
    file: Path
    url: str
    state: Path

    def create(self) -> None:
        """Create what is missing and start nothing. Raises: StepFailed."""
        with self._running("create", "--no-build", "--no-recreate") as run:
            run.process.wait()
            if run.failure:
                raise compose_failed("create", run.failure)

    def up(self) -> AbstractContextManager[ComposeRun]:
        """Create and start what is missing, in the background."""
        return self._running("up", "--detach", "--no-build", "--no-recreate")

    @contextmanager
    def _running(self, *words: str) -> Iterator[ComposeRun]:
        """Give a run of a command, and end it with the block. Raises: Missing."""
        directory = self.state / "docker-cli"
        directory.mkdir(parents=True, exist_ok=True)
        config = str(directory)
        project = (
            f"--project-name={self.name}",
            f"--project-directory={self.file.parent}",  # the .env of the caller's is not ours
            f"--file={self.file}",
        )
        process = None
        with tempfile.TemporaryFile() as output:
            try:
                with _interrupts_deferred():
                    process = subprocess.Popen(
                        [str(compose_program()), *project, *words, "--pull=never"],
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        env={**os.environ, "DOCKER_HOST": self.url, "DOCKER_CONFIG": config},
                    )
                yield ComposeRun(process, output)
            finally:
                if process:
                    _end(process)


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block: a process must not start without being recorded."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[tuple[int, FrameType | None]] = []
    handler = signal.signal(signal.SIGINT, lambda *details: caught.append(details))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if caught and callable(handler):
            handler(*caught[0])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program, with SIGKILL where SIGTERM does not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def compose_failed(verb: str, output: str) -> StepFailed:
    """Give the error of a command of Compose."""
    cause = output[-_CAUSE_CHARACTERS:]
    return StepFailed(f"docker compose {verb}", "failed", cause, "invoke docker.status")

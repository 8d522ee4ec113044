"""The viewers of a dashboard while something is measured: its real server, a reader, a browser.

They are paused and resumed by signals, in an instant: what is paused costs nothing, and nothing
has to be started again in each trial.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twinstack.errors import Missing, StepFailed
from twinstack.linux import procfs
from twinstack.stack import REPOSITORY

_START_S = 20.0
BROWSERS = ("chromium", "google-chrome")


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """A program and all that it started."""

    pid: int

    def pause(self) -> None:
        """Stop all of it."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let all of it run."""
        os.killpg(self.pid, signal.SIGCONT)

    def pids(self) -> Iterator[int]:
        """List its living processes."""
        for pid in procfs.pids():
            with suppress(OSError):
                if procfs.stat(pid).group == self.pid:
                    yield pid


@dataclass
class Reader:
    """Takes every sample of one world, as a browser does, without drawing."""

    world: str
    samples: list[dict[str, Any]] = field(default_factory=list)

    def read(self, url: str) -> None:
        """Take samples until the stream ends."""
        with suppress(OSError), urllib.request.urlopen(f"{url}events", timeout=60) as stream:
            kind = b""
            for line in stream:
                if line.startswith(b"event: "):
                    kind = line[7:].strip()
                elif line.startswith(b"data: ") and kind == b"sample":
                    sample = json.loads(line[6:])
                    if sample["world"] == self.world:
                        self.samples.append(sample)

    def newest(self, *, after: float, within_s: float = 10.0) -> dict[str, Any]:
        """Wait for a sample that is younger than a moment (of the epoch). Raises: StepFailed."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if self.samples and self.samples[-1]["at"] > after:
                return self.samples[-1]
            time.sleep(0.02)
        raise StepFailed("dashboard", "sends nothing", f"no sample within {within_s:g} s")


@contextmanager
def served(world: str) -> Iterator[tuple[ProcessGroup, str, Reader]]:
    """Serve the dashboard, and read its samples of a world. Raises: StepFailed."""
    with subprocess.Popen(
        [sys.executable, "-m", "invoke", "dashboard", "--port", "0"],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as running:
        try:
            assert running.stderr is not None
            line = running.stderr.readline()
            address = re.match(r"(http://\S+)", line)
            if address is None:
                raise StepFailed("dashboard", "does not start", line + running.stderr.read())
            reader = Reader(world)
            threading.Thread(target=reader.read, args=(address[1],), daemon=True).start()
            reader.newest(after=0.0, within_s=_START_S)
            yield ProcessGroup(running.pid), address[1], reader
        finally:
            _end(running)


@contextmanager
def browser(url: str) -> Iterator[ProcessGroup]:
    """Show a page in a headless Chromium. Raises: Missing without one; StepFailed."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise Missing("chromium", "is missing", "it shows the page", 'run "make setup"')
    with TemporaryDirectory(prefix="twinstack-browser-") as folder:
        words = (
            f"{program} --headless=new --no-sandbox --disable-gpu --no-first-run"
            f" --window-size=1280,900 --remote-debugging-port=0 --user-data-dir={folder} {url}"
        ).split()
        quiet = subprocess.DEVNULL
        with subprocess.Popen(
            words, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
        ) as running:
            try:
                deadline = time.monotonic() + _START_S
                while not (Path(folder) / "DevToolsActivePort").exists():
                    if running.poll() is not None or time.monotonic() > deadline:
                        raise StepFailed("chromium", "does not start", program)
                    time.sleep(0.05)
                yield ProcessGroup(running.pid)
            finally:
                _end(running)
                _await_end(running.pid)


def _end(running: subprocess.Popen[Any]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGCONT)
        os.killpg(running.pid, signal.SIGTERM)
    try:
        running.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def _await_end(group: int, within_s: float = 5.0) -> None:
    """Wait for the processes of a program: its folder is removed next."""
    deadline = time.monotonic() + within_s
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)

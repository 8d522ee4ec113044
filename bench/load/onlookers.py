"""The viewers of a dashboard while something is measured: its real server, a reader, a browser.

They are paused and resumed by signals, in an instant: what is paused costs nothing, and nothing
has to be started again in each trial.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twinstack.errors import Missing, StepFailed
from twinstack.linux.session import Session, announced, started
from twinstack.linux.waiting import until
from twinstack.stack import REPOSITORY

_START_S = 20.0
BROWSERS = ("chromium", "google-chrome")


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
        if not until(lambda: self.samples and self.samples[-1]["at"] > after, within_s, 0.02):
            raise StepFailed("dashboard", "sends nothing", f"no sample within {within_s:g} s")
        return self.samples[-1]


@contextmanager
def served(world: str) -> Iterator[tuple[Session, str, Reader]]:
    """Serve the dashboard, and read its samples of a world. Raises: StepFailed."""
    words = (sys.executable, "-m", "invoke", "dashboard", "--port", "0")
    with started(words, cwd=REPOSITORY, stderr=subprocess.PIPE) as server:
        address = announced("dashboard", server, "http://", _START_S).split()[0]
        reader = Reader(world)
        threading.Thread(target=reader.read, args=(address,), daemon=True).start()
        reader.newest(after=0.0, within_s=_START_S)
        yield Session(server.pid), address, reader


@contextmanager
def browser(url: str) -> Iterator[Session]:
    """Show a page in a headless Chromium. Raises: Missing without one; StepFailed."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise Missing("chromium", "is missing", "it shows the page", 'run "make setup"')
    with TemporaryDirectory(prefix="twinstack-browser-") as folder:
        words = (
            f"{program} --headless=new --no-sandbox --disable-gpu --no-first-run"
            f" --window-size=1280,900 --remote-debugging-port=0 --user-data-dir={folder} {url}"
        )
        with started(words.split()) as chromium:
            shown = Path(folder) / "DevToolsActivePort"
            until(lambda: shown.exists() or chromium.poll() is not None, _START_S)
            if not shown.exists():
                raise StepFailed("chromium", "does not start", program)
            yield Session(chromium.pid)

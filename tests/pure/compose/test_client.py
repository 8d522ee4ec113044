"""A run of the Compose program."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.compose_program import project
from twinstack.compose import client


def test_a_compose_that_ignores_being_ended_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    compose = project(tmp_path, monkeypatch, "trap '' TERM; echo up; sleep 60 & wait; sleep 60")
    monkeypatch.setattr(client, "_END_TIMEOUT_S", 0.2)
    with compose.up() as run:
        while not run.output.tell() and not os.fstat(run.output.fileno()).st_size:
            time.sleep(0.01)
    assert run.process.returncode == -signal.SIGKILL

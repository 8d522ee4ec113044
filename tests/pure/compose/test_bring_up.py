"""Compose under way: watched until all are healthy, ended by Ctrl-C."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.compose_program import project
from tests.support.core_cases import edited_plan
from twinstack.compose import bring_up
from twinstack.compose.client import ComposeProject
from twinstack.errors import StepFailed
from twinstack.model.plan import Plan

#: An engine without containers: nothing ever becomes healthy.
EMPTY: Any = SimpleNamespace(containers=SimpleNamespace(list=lambda **_words: []))
SEED = 7
INTERRUPTIONS = 50


@pytest.fixture
def threads_come_and_go() -> Iterator[None]:
    """Start and end threads all the while, as the step proxy does."""
    over = threading.Event()

    def churn() -> None:
        while not over.is_set():
            thread = threading.Thread(target=lambda: None)
            thread.start()
            thread.join()

    churning = threading.Thread(target=churn)
    churning.start()
    yield
    over.set()
    churning.join()


def interrupted_up(compose: ComposeProject, plan: Plan, after_s: float) -> None:
    threading.Timer(after_s, os.kill, (os.getpid(), signal.SIGINT)).start()
    bring_up.bring_up(EMPTY, compose, plan, 60, lambda _line: None)


def test_ctrl_c_at_any_moment_ends_compose_and_is_all_that_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads_come_and_go: None
):
    compose = project(tmp_path, monkeypatch, f'echo "$$" >> {tmp_path}/pids; exec sleep 60')
    monkeypatch.setattr(bring_up, "POLL_S", 0.01)
    chance, plan = random.Random(SEED), edited_plan()
    for _ in range(INTERRUPTIONS):
        with pytest.raises(KeyboardInterrupt):
            interrupted_up(compose, plan, chance.random() * 0.06)
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert pids  # some were ended before they could write
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            pytest.fail(f"{pid} runs")


def test_a_failure_of_compose_is_told_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    compose = project(tmp_path, monkeypatch, "echo pulling; echo no such image >&2; exit 3")
    with pytest.raises(StepFailed, match=r"docker compose up: failed: pulling no such image; "):
        bring_up.bring_up(EMPTY, compose, edited_plan(), 60, lambda _line: None)
    with pytest.raises(StepFailed, match=r"docker compose create: failed: pulling no such image; "):
        compose.create()

"""A Prometheus that stores nothing is not up, and says why."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from twinstack.observe.prometheus import processes, run
from twinstack.observe.prometheus.files import KeptProgram, Options

PROMETHEUS = KeptProgram("prometheus", 9090, "/-/ready", "c", (1, 1, 1), Path("/nowhere.sh"), "")


def storage_error(monkeypatch: pytest.MonkeyPatch, stored: float, newest: float) -> str:
    """Ask a Prometheus whose series has a sample so many seconds ago, and its newest so many."""
    now = time.time()
    answers: dict[str, dict[str, Any]] = {
        "status": {"headStats": {"maxTime": round((now - newest) * 1000)}},
        "query": {"result": [{"value": [now, str(now - stored)]}]},
    }
    monkeypatch.setattr(processes, "query", lambda port, path: answers[re.split("[?/]", path)[0]])
    return run._storage_error(PROMETHEUS, Options(interval_s=5))


def test_one_that_stored_a_moment_ago_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert storage_error(monkeypatch, stored=2, newest=2) == ""
    assert storage_error(monkeypatch, stored=99, newest=99) == "it stores nothing: "


def test_after_the_clock_was_set_back_an_old_sample_of_this_time_is_no_sign_of_storing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = storage_error(monkeypatch, stored=2, newest=-3600)
    assert words == "the clock was set back: it stores nothing for 3,600 s more"

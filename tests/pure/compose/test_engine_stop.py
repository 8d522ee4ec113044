"""Stopping an engine of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from twinstack.compose.engine_paths import DEFAULT
from twinstack.compose.engine_stop import stop_engine
from twinstack.state import paths


def test_stopping_an_engine_that_was_never_started_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Not the host's: there a running engine of the user's holds sysctls under the same name.
    monkeypatch.setattr(paths, "RUN", tmp_path / "run")
    host = tmp_path / "host"
    host.mkdir()
    engine = replace(
        DEFAULT,
        socket=host / "docker.sock",
        data_root=host / "data",
        state=host / "state",
        by_environment=False,
    )
    assert stop_engine(engine, lambda _line: None) == ()
    assert list(host.iterdir()) == []

"""Stopping an engine of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from twinstack.compose.engine_paths import DEFAULT
from twinstack.compose.engine_stop import stop_engine


def test_stopping_an_engine_that_was_never_started_does_nothing(tmp_path: Path):
    engine = replace(
        DEFAULT,
        socket=tmp_path / "docker.sock",
        data_root=tmp_path / "data",
        state=tmp_path / "state",
        by_environment=False,
    )
    assert stop_engine(engine, lambda _line: None) == ()
    assert list(tmp_path.iterdir()) == []

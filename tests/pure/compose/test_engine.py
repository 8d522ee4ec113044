"""Which engine is asked, and the error when none can be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from twinstack.compose.engine import connect
from twinstack.compose.engine_paths import DEFAULT
from twinstack.errors import Missing


def test_no_socket_is_no_engine(tmp_path: Path):
    engine = replace(DEFAULT, socket=tmp_path / "docker.sock", by_environment=False)
    assert connect(engine) is None


def test_an_engine_that_docker_host_names_must_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(Missing, match="DOCKER_HOST names this engine; start it, or unset"):
        connect(DEFAULT)

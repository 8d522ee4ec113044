"""An instance with directories of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinstack.state import paths as directories
from twinstack.state.paths import InstancePaths


@pytest.fixture(name="paths")
def _paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstancePaths:
    monkeypatch.setattr(directories, "RUN", tmp_path / "run")
    monkeypatch.setattr(directories, "LIB", tmp_path / "lib")
    return InstancePaths("t")

"""A stand-in for the Compose program."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinstack.compose import client
from twinstack.compose.client import ComposeProject


def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> ComposeProject:
    """Give a project that a shell script plays Compose for."""
    program = tmp_path / "docker-compose"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(client, "compose_program", lambda: program)
    return ComposeProject("pure", tmp_path / "docker-compose.yml", "unix:///none", tmp_path)

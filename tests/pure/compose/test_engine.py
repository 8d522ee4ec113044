"""Which engine is asked, and what is said when none can be."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from twinstack.compose.engine import DEFAULT, connect, stop_engine
from twinstack.compose.images import BuildContext
from twinstack.errors import Missing
from twinstack.linux.procfs import start_ticks


def test_no_socket_is_no_engine(tmp_path: Path):
    engine = replace(DEFAULT, socket=tmp_path / "docker.sock", by_environment=False)
    assert connect(engine) is None


def test_an_engine_that_docker_host_names_must_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(Missing, match="DOCKER_HOST names this engine; start it, or unset"):
        connect(DEFAULT)


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


def test_a_process_is_known_by_its_start_and_a_missing_one_has_none():
    assert start_ticks(os.getpid()) > 0
    assert start_ticks(2**22 + 1) == 0


def test_a_context_digest_follows_names_and_contents_and_nothing_else(tmp_path: Path):
    file = tmp_path / "app.py"
    file.write_text("one")
    first = BuildContext("Dockerfile", {"services/app.py": file})
    same = BuildContext("Dockerfile", {"services/app.py": b"one"})
    assert first.digest == same.digest
    assert first.tar().getvalue() == same.tar().getvalue()
    assert BuildContext("Dockerfile", {"services/b.py": b"one"}).digest != same.digest
    file.write_text("two")
    assert first.digest != same.digest


def test_what_belongs_to_one_engine_alone_bears_its_token():
    assert str(DEFAULT.exec_root("ab12")) == "/run/twinstack/engine/exec-ab12"
    assert DEFAULT.cgroups("ab12") == "/twinstack-engine-ab12"
    assert DEFAULT.configuration("ab12").name == "daemon-ab12.json"


def test_an_engine_that_a_release_without_tokens_started_is_found_where_it_is():
    assert str(DEFAULT.exec_root("")) == "/run/twinstack/engine/exec"
    assert DEFAULT.cgroups("") == "/twinstack-engine"

"""scripts/setup-venv, tried on a copy with empty requirements: it needs no network."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.project import ROOT

FILES = (
    "requirements.txt",
    "requirements-dev.txt",
    "services/requirements.txt",
    "docs/requirements.txt",
    "constraints.txt",
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "services").mkdir()
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "scripts/setup-venv", tmp_path / "scripts")
    for name in FILES:
        (tmp_path / name).write_text("# nothing\n")
    return tmp_path


def setup(clone: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(clone / "scripts/setup-venv")],
        env={**os.environ, "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_setup_makes_the_environment_once(clone):
    assert "making .venv" in setup(clone).stdout
    (clone / ".venv/kept").touch()
    again = setup(clone)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert (clone / ".venv/kept").exists()


def test_setup_rebuilds_an_interrupted_environment(clone):
    setup(clone)
    (clone / ".venv/.complete").unlink()  # removed first and written last
    (clone / ".venv/torn").touch()
    assert "making .venv" in setup(clone).stdout
    assert not (clone / ".venv/torn").exists()


def test_setup_brings_a_finished_environment_up_to_date(clone):
    setup(clone)
    (clone / "constraints.txt").write_text("# other\n")
    (clone / ".venv/kept").touch()
    assert "bringing .venv up to date" in setup(clone).stdout
    assert (clone / ".venv/kept").exists()


def test_setup_rebuilds_a_moved_environment(clone, tmp_path_factory):
    setup(clone)
    moved = tmp_path_factory.mktemp("moved") / "clone"
    shutil.copytree(clone, moved, symlinks=True)
    assert "making .venv" in setup(moved).stdout


def test_setup_says_what_failed_and_does_not_call_it_done(clone):
    (clone / "requirements-dev.txt").write_text("no-such-thing==1\n")
    failed = setup(clone)
    assert failed.returncode == 1
    assert 'mend that and run "make setup"' in failed.stderr
    assert not (clone / ".venv/.complete").exists()

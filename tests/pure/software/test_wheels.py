"""What is shipped, and what is current."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.project import ROOT
from twinstack.software import wheels
from twinstack.software.wheels import find_wheelhouse, service_files


def test_shipped_applications_are_code_and_not_notes():
    names = {path.relative_to(ROOT).as_posix() for path in service_files(ROOT)}
    assert "services/requirements.txt" in names
    assert "services/stores/postgres.sh" in names
    assert not any(name.endswith((".md", ".pyc")) for name in names)


def test_a_clone_below_a_folder_called_tests_ships_the_same(tmp_path: Path):
    application = tmp_path / "tests" / "services" / "app.py"
    application.parent.mkdir(parents=True)
    application.touch()
    (application.parent / "tests").mkdir()
    (application.parent / "tests" / "test_app.py").touch()
    assert service_files(tmp_path / "tests") == [application]


def test_a_wheelhouse_is_current_only_while_its_lists_are_the_same(tmp_path: Path):
    lists = tmp_path / "services/requirements.txt"
    lists.parent.mkdir()
    lists.write_text("flask==3\n")
    assert find_wheelhouse(tmp_path) is None
    house = tmp_path / "wheelhouse"
    house.mkdir()
    (house / ".complete").write_text(wheels._stamp(tmp_path))
    assert find_wheelhouse(tmp_path) == house
    lists.write_text("flask==4\n")
    assert find_wheelhouse(tmp_path) is None


def test_a_wheelhouse_of_the_last_release_of_debian_is_not_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An upgrade brings another Python, for which most of its wheels are of no use."""
    for file in wheels._lists(tmp_path):
        if file.is_relative_to(tmp_path):
            file.parent.mkdir()
            file.write_text("flask==3.1.0")
    house, python = tmp_path / "wheelhouse", tmp_path / "python3"
    house.mkdir()
    monkeypatch.setattr(wheels, "PYTHON", str(python))
    python.symlink_to("python3.11")
    (house / ".complete").write_text(wheels._stamp(tmp_path))
    assert find_wheelhouse(tmp_path) == house
    python.unlink()
    python.symlink_to("python3.13")
    assert find_wheelhouse(tmp_path) is None

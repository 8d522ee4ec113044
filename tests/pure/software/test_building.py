"""Directories are whole or absent; removing one enters no mount."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twinstack.errors import StepFailed
from twinstack.linux import procfs
from twinstack.software import building
from twinstack.software.building import aside, locked, mounts_beneath, remove_tree


def test_a_directory_is_whole_or_absent(tmp_path: Path):
    target = tmp_path / "thing"

    def interrupted() -> None:
        with aside(target) as fresh:
            (fresh / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with aside(target) as fresh:
        (fresh / "whole").touch()
    assert [path.name for path in target.iterdir()] == ["whole"]


def test_what_an_interrupted_build_left_is_not_taken_over(tmp_path: Path):
    (tmp_path / "thing.building").mkdir()
    (tmp_path / "thing.building" / "half").touch()
    with aside(tmp_path / "thing"):
        pass
    assert list((tmp_path / "thing").iterdir()) == []


def test_a_second_builder_waits_and_says_so(tmp_path: Path):
    lines: list[str] = []
    with locked(tmp_path, lines.append):
        child = os.fork()
        if child == 0:
            with locked(tmp_path, lambda line: os._exit(7 if "waiting" in line else 1)):
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert lines == []


def test_mounts_are_found_at_and_beneath_a_directory_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    table = (
        f"1 0 0:1 / {tmp_path}/a rw - tmpfs tmpfs rw\n"
        f"2 0 0:1 / {tmp_path}/a/b rw - tmpfs tmpfs rw\n"
        f"3 0 0:1 / {tmp_path}/ab rw - tmpfs tmpfs rw\n"
    )
    monkeypatch.setattr(procfs, "read_mounts", lambda: procfs.parse_mountinfo(table))
    assert mounts_beneath(tmp_path / "a") == [f"{tmp_path}/a", f"{tmp_path}/a/b"]


def test_removing_never_crosses_into_a_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kept = tmp_path / "tree" / "kept"
    kept.mkdir(parents=True)
    monkeypatch.setattr(building, "mounts_beneath", lambda path: [f"{path}/dev"])
    with pytest.raises(StepFailed, match="tree/dev is mounted inside it"):
        remove_tree(tmp_path / "tree")
    assert kept.is_dir()


def test_removing_what_is_absent_removes_nothing(tmp_path: Path):
    assert remove_tree(tmp_path / "absent") is False

"""A file is whole or absent, and nobody sees it half written or with another mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinstack.linux import files


@pytest.mark.parametrize("mode", [0o400, 0o644, 0o755])
def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path, mode: int):
    file = tmp_path / "journal.json"
    file.write_text("former")
    former = file.stat().st_ino
    files.write(file, "later", mode=mode)
    assert (file.read_text(), file.stat().st_mode & 0o7777) == ("later", mode)
    assert file.stat().st_ino != former
    assert list(tmp_path.iterdir()) == [file]


def test_what_an_interrupted_write_left_is_replaced_and_removed(tmp_path: Path):
    file = tmp_path / "journal.json"
    files.partial(file).write_text("half")
    files.write(file, "whole")
    assert list(tmp_path.iterdir()) == [file]
    files.partial(file).write_text("half")
    files.remove(file)
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_former_content(tmp_path: Path):
    file = tmp_path / "journal.json"
    file.write_text("former")
    with pytest.raises(UnicodeEncodeError):
        files.write(file, "\ud800")
    assert file.read_text() == "former"


@pytest.mark.parametrize("text", ["longer than it was", "s", ""])
def test_a_file_changed_in_place_stays_the_same_file(tmp_path: Path, text: str):
    file = tmp_path / "hosts"
    file.write_text("a former one")
    former = file.stat().st_ino
    files.overwrite(file, text)
    assert (file.read_text(), file.stat().st_ino) == (text, former)

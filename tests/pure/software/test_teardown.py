"""What all instances share is removed with the last of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinstack.software import teardown
from twinstack.state import paths


@pytest.fixture(name="repository")
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LIB", "RUN"):
        monkeypatch.setattr(paths, name, tmp_path / name)
    for name in ("roots", "software"):
        monkeypatch.setattr(teardown, name.upper(), tmp_path / "LIB" / name)
        (tmp_path / "LIB" / name).mkdir(parents=True)
    (tmp_path / "wheelhouse").mkdir()
    return tmp_path


def test_while_there_is_an_instance_nothing_is_removed(repository: Path):
    (repository / "RUN/lab").mkdir(parents=True)
    assert teardown.instances() == ("lab",)
    assert teardown.remove_software(repository, {"main"}) == ()
    assert (repository / "LIB/roots").is_dir()


def test_with_the_last_instance_all_of_it_is_removed(repository: Path):
    (repository / "LIB/docker").mkdir()  # shared, no instance
    (repository / "LIB/main").mkdir()  # data that it keeps
    shared = ["roots", "software", "wheelhouse"]
    assert [path.name for path in teardown.removable(repository, {"main"})] == shared
    removed = teardown.remove_software(repository, {"main"})
    assert [Path(line.split()[-1]).name for line in removed] == shared
    assert {path.name for path in (repository / "LIB").iterdir()} == {"docker", "main"}

"""What other instances do at the same time to the cgroups above both is no failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinstack.errors import StepFailed
from twinstack.linux import cgroup_removal
from twinstack.linux.cgroup import Layout


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Give a layout of plain directories, in which a directory that stays is waited for briefly."""
    monkeypatch.setattr(cgroup_removal, "_REMOVE_S", 0.05)
    (tmp_path / "twinstack" / "lab").mkdir(parents=True)
    return Layout({"cpu": tmp_path}, {"cpu": 2})


def test_empty_levels_go_up_to_the_mount_and_one_with_others_stays(
    layout: Layout, tmp_path: Path
) -> None:
    (tmp_path / "twinstack" / "other").mkdir()
    cgroup_removal.remove_empty("twinstack/lab", layout)
    assert [path.name for path in (tmp_path / "twinstack").iterdir()] == ["other"]
    (tmp_path / "twinstack" / "other").rmdir()
    cgroup_removal.remove_empty("twinstack/lab", layout)
    assert list(tmp_path.iterdir()) == []


def test_a_level_in_which_another_instance_just_made_its_own_stays(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = Path.rmdir

    def late(directory: Path) -> None:
        if directory.name == "twinstack":
            (directory / "other").mkdir(exist_ok=True)
        remove(directory)

    monkeypatch.setattr(Path, "rmdir", late)
    cgroup_removal.remove_empty("twinstack/lab", layout)
    assert cgroup_removal.children("twinstack", layout) == ("other",)


def test_a_level_that_another_instance_just_removed_has_nothing_below(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(directory: Path) -> None:
        raise FileNotFoundError(directory)

    monkeypatch.setattr(Path, "iterdir", gone)
    assert cgroup_removal.children("twinstack", layout) == ()


def test_a_level_that_cannot_be_removed_is_reported(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "twinstack" / "lab" / "a file").touch()
    with pytest.raises(StepFailed, match=r"twinstack/lab: cannot be removed: "):
        cgroup_removal.remove_empty("twinstack/lab", layout)

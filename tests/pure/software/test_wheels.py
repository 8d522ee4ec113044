"""What is shipped, and what is current."""

from __future__ import annotations

from pathlib import Path

from twinstack.software import wheels
from twinstack.software.wheels import find_wheelhouse, service_files

REPOSITORY = Path(__file__).parents[3]


def test_shipped_applications_are_code_and_not_notes():
    names = {path.relative_to(REPOSITORY).as_posix() for path in service_files(REPOSITORY)}
    assert "services/requirements.txt" in names
    assert "services/stores/postgres.sh" in names
    assert not any(name.endswith((".md", ".pyc")) for name in names)


def test_a_wheelhouse_is_current_only_while_its_lists_are_the_same(tmp_path: Path):
    lists = tmp_path / "services/requirements.txt"
    lists.parent.mkdir()
    lists.write_text("flask==3\n")
    assert find_wheelhouse(tmp_path) is None
    house = tmp_path / "wheelhouse"
    house.mkdir()
    (house / ".complete").write_text(wheels._digest(wheels._lists(tmp_path)))
    assert find_wheelhouse(tmp_path) == house
    lists.write_text("flask==4\n")
    assert find_wheelhouse(tmp_path) is None

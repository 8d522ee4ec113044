"""Each bug can be planted in today's services, and the services still compile with it."""

from __future__ import annotations

import compileall
from pathlib import Path

import pytest

from tests.support.planted_bugs import PLANTED, PlantedBug, plant
from tests.support.project import ROOT


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted(bug: PlantedBug, tmp_path: Path) -> None:
    plant(bug, ROOT / "services", tmp_path / "services")
    assert compileall.compile_dir(tmp_path / "services", quiet=1)


def test_there_are_twenty_bugs_with_names_of_their_own() -> None:
    assert len({bug.name for bug in PLANTED}) == len(PLANTED) >= 20

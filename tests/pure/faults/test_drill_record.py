"""The record of a drill: written before the act, refused by, taken away, and noted for a table."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twinstack.errors import TwinstackError
from twinstack.faults import drill_record as record
from twinstack.faults.drill_record import Underway
from twinstack.linux.procfs import start_ticks
from twinstack.state import paths

UNDERWAY = Underway("x", "net", "flat", "", 1, "Ada", 0.0, "there")


@pytest.fixture(autouse=True)
def _directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "RUN", tmp_path / "run")
    monkeypatch.setattr(record, "LIB", tmp_path / "lib")


def test_a_world_with_a_drill_is_not_brought_up_but_while_it_is_taken_out() -> None:
    record.refuse("t", "net", "net.up")
    record.write("t", UNDERWAY)
    record.refuse("t", "docker", "docker.up")
    with pytest.raises(TwinstackError, match="a drill is under way"):
        record.refuse("t", "net", "net.up")
    record.write("t", Underway("x", "net", "flat", "", 1, "Ada", 0.0, "stopping"))
    record.refuse("t", "net", "net.up")


def test_down_takes_the_fault_away_and_notes_the_attempt(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.touch()
    undo = (f"rm {made}", "false", f"kill -CONT {os.getpid()}; touch {tmp_path}/never")
    pids = {os.getpid(): start_ticks(os.getpid()) + 1}  # as if another had this number now
    record.write("t", Underway("x", "net", "flat", "", 1, "", 0.0, undo=undo, pids=pids))
    assert record.take_away("t", "docker") == ()
    assert record.take_away("t", "net") == ("drill x",)
    assert not made.exists()
    assert not (tmp_path / "never").exists()
    assert record.read("t") is None
    assert [each.outcome for each in record.attempts("t")] == ["ended by down"]
    assert record.take_away("t", "net") == ()


def test_down_forgets_how_the_world_was_although_somebody_removed_the_record() -> None:
    before = paths.InstancePaths("t").run / "drill-before.json"
    before.parent.mkdir(parents=True)
    before.touch()
    assert record.take_away("t", "net") == ()
    assert not before.parent.exists()


def test_an_attempt_is_noted_once_although_its_command_was_killed() -> None:
    record.write("t", UNDERWAY)
    first = record.close("t", UNDERWAY, "solved")
    record.write("t", UNDERWAY)  # as if it was killed before this was gone
    record.close("t", UNDERWAY, "solved")
    assert [each.points for each in record.attempts("t")] == [first.points] == [100]
    assert len(record.forget_attempts("t")) == 1
    assert record.attempts("t") == ()

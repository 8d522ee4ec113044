from __future__ import annotations

from pathlib import Path

import pytest

from twinstack.errors import CannotTell
from twinstack.faults import on_packets, on_processes, record
from twinstack.faults.record import PlacedFault
from twinstack.state import paths


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "RUN", tmp_path)
    (tmp_path / "t").mkdir()
    return tmp_path / "t"


EFFECTS: tuple[record.AnyEffect, ...] = (
    on_processes.Killed("/twinstack/t/a"),
    on_processes.Suspended("/twinstack/t/a"),
    on_processes.StoppedReplica("a"),
    on_packets.LinkDown("/run/netns/x", "ve-a", 7),
    on_packets.FirstChain("", "TS-t-F-12345", "twinstack:t", ("-s 10.0.0.1/32 -j DROP",)),
    on_packets.Delayed(on_packets.FirstChain("", "TS-t-F-12345", "twinstack:t", ()), 5, 50),
    on_packets.Shaped("", "ve-a", 1000),
    on_processes.Emptied("/twinstack/t/a", ""),
    on_processes.Full("/twinstack/t/a", "postgres"),
    on_processes.EngineKilled(1, 2),
)


def test_every_effect_is_read_back_as_it_was_written(run: Path):
    placed = {n: PlacedFault("fault", str(n), (effect,)) for n, effect in enumerate(EFFECTS, 1)}
    record.write("t", "net", placed)
    assert record.read("t", "net") == placed
    assert record.left("t", "net")[0] == "fault:1"
    assert record.left("t", "docker") == ()


def test_no_fault_is_no_file(run: Path):
    record.write("t", "net", {1: PlacedFault("kill", "a", EFFECTS[:1])})
    record.write("t", "net", {})
    assert list(run.iterdir()) == []


def test_a_repair_of_what_is_gone_does_no_harm_and_forgets_it(run: Path):
    gone = (*EFFECTS[:3], on_packets.LinkDown("/run/netns/no-such", "ve-a", 7))
    placed = {1: PlacedFault("a", "x", gone), 2: PlacedFault("b", "y", EFFECTS[:1])}
    record.write("t", "net", placed)
    assert record.repair("t", "net") == ("b:y", "a:x")
    assert list(run.iterdir()) == []
    assert record.repair("t", "net") == ()


def test_a_record_that_cannot_be_understood_is_an_error(run: Path):
    (run / "faults-net.json").write_text('{"1": {"fault": "kill"}}')
    with pytest.raises(CannotTell, match="cannot be understood"):
        record.read("t", "net")

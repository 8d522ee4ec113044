"""The record of an engine of ours."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from twinstack.compose.engine_leftovers import HostState
from twinstack.compose.engine_paths import DEFAULT, EnginePaths
from twinstack.compose.engine_record import EngineRecord, read_record, write_record
from twinstack.errors import CannotTell


@pytest.fixture
def engine(tmp_path: Path) -> EnginePaths:
    return replace(DEFAULT, state=tmp_path)


def test_a_record_is_read_back_as_written(engine: EnginePaths):
    before = HostState({"net/ipv4/ip_forward": None}, {"iptables": "*filter"}, ["/a"], ["docker0"])
    record = EngineRecord(before, "ab12", pid=7, ticks=9)
    assert read_record(engine) is None
    write_record(engine, record)
    assert read_record(engine) == record


def test_a_record_of_another_release_is_read_too(engine: EnginePaths):
    before = {"sysctls": {"net/ipv4/ip_forward": "0"}, "docker0": False}
    engine.record.write_text(json.dumps({"pid": 7, "ticks": 9, "before": before}))
    assert read_record(engine) == EngineRecord(HostState(before["sysctls"]), "", 7, 9)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"before": 1}', '{"before": {}, "pid": "x"}'])
def test_a_record_that_cannot_be_understood_is_an_error(engine: EnginePaths, text: str):
    engine.record.write_text(text)
    with pytest.raises(CannotTell, match="cannot be read"):
        read_record(engine)

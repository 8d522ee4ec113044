"""Kept results of every schema are found and listed, newest last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.engine import kept
from bench.engine.store import RESULTS, SCHEMA
from twinstack.errors import Missing, Unreadable


def keep(folder: Path, name: str, day: int, **document: object) -> Path:
    whole = {
        "schema": SCHEMA,
        "name": name,
        "started": f"2026-11-{day:02}T10:00:00+00:00",
        "environment": {"cpu": "A CPU", "cores": 2, "docker": "26.1", "revision": "0123"},
        "sentence": f"the verdict of day {day}",
        **document,
    }
    file = folder / f"202611{day:02}T100000Z-{name}.json"
    file.write_text(json.dumps(whole))
    return file


def test_a_history_has_a_line_a_result_newest_last(tmp_path: Path) -> None:
    for day in (3, 1, 2):
        keep(tmp_path, "policy-net", day)
    keep(tmp_path, "chain", 4)
    found, unreadable = kept.history("policy", tmp_path)
    assert unreadable == []
    lines = kept.lines(found).splitlines()
    assert [line[8:10] for line in lines] == ["01", "02", "03"]
    assert lines[-1].split("  ")[1] == "0123"
    assert lines[-1].endswith("2 × A CPU, Docker 26.1  the verdict of day 3")
    assert len(kept.history("", tmp_path)[0]) == 4


def test_an_older_result_is_named_as_older(tmp_path: Path) -> None:
    told = {"contrasts": [{"sentence": "No difference."}], "sentence": "x"}
    assert kept.read(keep(tmp_path, "compare", 1, schema=1, **told)).sentence == (
        "older (schema 1): No difference."
    )
    said = kept.read(keep(tmp_path, "chain", 1, schema=2, said=["a  table", "It", "holds."]))
    assert said.sentence == "older (schema 2): It holds."


def test_a_result_without_a_verdict_has_its_first_sentence(tmp_path: Path) -> None:
    file = keep(tmp_path, "startup", 1, said=["", "healthy after 3 s"])
    document = json.loads(file.read_text())
    del document["sentence"]
    file.write_text(json.dumps(document))
    assert kept.read(file).sentence == "healthy after 3 s"


def test_a_broken_result_is_named_and_the_others_are_listed(tmp_path: Path) -> None:
    keep(tmp_path, "compare", 1)
    (tmp_path / "20261102T100000Z-compare.json").write_text("{")
    (tmp_path / "20261103T100000Z-compare.json").write_text("[]")
    found, unreadable = kept.history("compare", tmp_path)
    assert len(found) == 1
    assert [line.count("is no kept result") for line in unreadable] == [1, 1]


def test_a_result_is_found_by_its_files_and_by_the_beginning_of_its_name(tmp_path: Path) -> None:
    file = keep(tmp_path, "compare", 1)
    keep(tmp_path, "compare", 2)
    for word in (str(file.with_suffix(".html")), "20261101", "20261101T100000Z-compare.md"):
        assert kept.find(word, tmp_path).stem == file.stem
    with pytest.raises(Missing, match="2 results begin with it"):
        kept.find("202611", tmp_path)
    for word in ("2027", ""):
        with pytest.raises(Missing, match=r"bench\.history"):
            kept.find(word, tmp_path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(Unreadable, match="is no kept result"):
        kept.read(tmp_path / "x.json")


def test_every_result_that_the_project_keeps_can_be_read() -> None:
    found, unreadable = kept.history("")
    assert unreadable == []
    assert len(found) == len(list(RESULTS.glob("*.json")))
    assert not any(result.sentence.endswith("?") for result in found)

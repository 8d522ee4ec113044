"""The planting self-test keeps its runs, goes on with them, and counts what was named first."""

from __future__ import annotations

from pathlib import Path

from bench.engine import store
from bench.questions import planting
from bench.questions.causes import COLD, KEEPALIVE, RULES
from bench.questions.planting import NamingRun

RIGHT = NamingRun(RULES, (RULES, COLD), True, 0.7, 1.4)
WRONG = NamingRun(COLD, (KEEPALIVE,), False, 0.5, 1.2)


def test_only_the_first_name_counts() -> None:
    assert (RIGHT.right, WRONG.right) == (True, False)
    assert not NamingRun(COLD, (), False, 1.0, 1.0).right
    assert not NamingRun(COLD, (RULES, COLD), True, 1.0, 1.0).right


def test_runs_are_kept_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "planted.jsonl"
    assert planting.read(file) == []
    for run in (RIGHT, WRONG):
        store.add_run(file, run)
    assert planting.read(file) == [RIGHT, WRONG]


def test_what_is_missing_is_planted_until_there_is_enough() -> None:
    missing = {cause.name for cause in planting.absent([RIGHT, RIGHT, WRONG], 2)}
    assert RULES not in missing
    assert COLD in missing


def test_the_text_says_how_many_were_named_first_and_what_else_was() -> None:
    said = planting.text([RIGHT, RIGHT, WRONG])
    assert "2 of 3 planted causes were named first: 67%." in said
    assert "no upstream keep-alive 1" in said
    assert max(map(len, said.splitlines())) <= 80

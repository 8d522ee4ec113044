"""why asks the worlds that can be asked, and refuses what cannot be written before it asks."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from invoke.context import Context

from front import why
from tests.support.why_evidence import PLAN, sound
from twinstack.observe.why import gather
from twinstack.observe.why.evidence import Evidence
from twinstack.observe.why.question import Question


@pytest.fixture(name="asked", autouse=True)
def _asked(monkeypatch: pytest.MonkeyPatch) -> list[Question]:
    """Let both worlds be up; each question that is asked passes, and is kept."""
    asked: list[Question] = []

    def passing(_: object, question: Question) -> Evidence:
        asked.append(question)
        evidence = sound(status=200)
        namespaces = {**evidence.namespaces, question.destination: evidence.host}
        return replace(evidence, question=question, named=False, namespaces=namespaces)

    worlds = [SimpleNamespace(plan=PLAN, name=name) for name in ("net", "docker")]
    monkeypatch.setattr(why, "up_among", lambda *_: worlds)
    monkeypatch.setattr(gather, "gather", passing)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return asked


def test_a_port_that_one_world_publishes_is_asked_there(asked: list[Question], capsys):
    why.why(Context(), "host", "localhost:8080", json=True)
    assert [question.world for question in asked] == ["net"]
    document = json.loads(capsys.readouterr().out)
    assert [answer["world"] for answer in document["worlds"]] == ["net"]


def test_an_end_of_no_world_is_refused_once(asked: list[Question], capsys):
    with pytest.raises(SystemExit) as left:
        why.why(Context(), "nobody", "redis-cache")
    assert (left.value.code, asked) == (64, [])
    assert capsys.readouterr().err.startswith("nobody: is no end of a connection")


def test_a_picture_that_cannot_be_written_is_refused_before_anything_is_asked(
    asked: list[Question], tmp_path: Path, capsys
):
    with pytest.raises(SystemExit) as left:
        why.why(Context(), "order-service", "redis-cache", svg=str(tmp_path / "none" / "way.svg"))
    assert (left.value.code, asked) == (64, [])
    assert "is not a folder" in capsys.readouterr().err

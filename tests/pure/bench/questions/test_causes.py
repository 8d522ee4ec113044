"""Planted causes: what they replace is what the plan renders, and all of it is put back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.questions import causes
from bench.questions.causes import CAUSES, Cause, edge_directives, planted
from bench.questions.symptoms import SYMPTOMS
from tests.support.bench_fakes import PLAN
from twinstack.errors import StepFailed
from twinstack.software.configs import nginx_conf


def test_each_symptom_has_a_cause_that_can_be_planted() -> None:
    assert [cause.name for cause in CAUSES] == [symptom.cause for symptom in SYMPTOMS]


def test_what_causes_replace_is_in_the_rendered_file_once_and_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "nginx.conf"
    rendered = nginx_conf(PLAN, PLAN.replicas_of("nginx-lb")[0])
    place: Any = SimpleNamespace(nginx_conf=file, end=lambda name: None)
    monkeypatch.setattr(causes, "_start_dns", lambda place: None)
    workers = iter(range(1, 100))
    place.workers, place.world = (
        lambda: {next(workers)},
        SimpleNamespace(main_pids=lambda: {"nginx-lb": 7}),
    )
    reread: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, sign: reread.append(pid))
    for edits in (causes.NOT_KEPT, causes.ASKED, causes.WAITED):
        file.write_text(rendered)
        cause = edge_directives("edited", edits)
        assert [rendered.count(original) for original, _ in edits] == [1] * len(edits)
        with planted(place, cause):
            assert cause.is_there(place)
        assert file.read_text() == rendered
    assert reread == [7] * 6


def noted(holds: bool = True) -> tuple[Cause, list[str]]:
    """Give a cause, and the list of what is done with it."""
    done: list[str] = []
    return Cause(
        "noted",
        lambda place: done.append("plant") or {1: "programs"},  # type: ignore[func-returns-value]
        lambda place: done.append("restore"),
        lambda place: holds and done[-1] == "plant",
    ), done


PLACE: Any = SimpleNamespace()


def test_a_cause_is_taken_away_also_when_the_work_fails() -> None:
    cause, done = noted()

    def work() -> None:
        with planted(PLACE, cause) as parts:
            assert parts == {1: "programs"}
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert done == ["plant", "restore"]


def test_a_cause_that_does_not_hold_is_an_error_and_is_taken_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(causes, "_BOUND_S", 0.0)
    cause, done = noted(holds=False)
    with (
        pytest.raises(StepFailed, match="noted: cannot be planted"),
        planted(PLACE, cause),
    ):
        pass
    assert done == ["plant", "restore"]

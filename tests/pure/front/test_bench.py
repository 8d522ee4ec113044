"""A question's answer is printed before it is kept."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.engine import store
from bench.engine.store import Outcome
from bench.questions.startup import Startup
from front import bench
from tests.support.bench_fakes import PLAN

START = Startup("net", (3.0,), (1.0,), {"nginx-lb": 1 << 20})


def test_a_full_disk_does_not_take_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "bench/results/x.json")

    outcome = Outcome("startup", PLAN, (START,), START.sentence)
    asked = SimpleNamespace(ask=lambda **_: outcome)
    monkeypatch.setattr("front.bench.importlib.import_module", lambda _: asked)
    monkeypatch.setattr(store, "keep", full)
    with pytest.raises(OSError, match="No space"):  # one line, where the task is guarded
        bench.ask("startup", False)
    assert START.sentence in capsys.readouterr().out

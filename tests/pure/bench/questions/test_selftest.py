"""The self-test keeps its runs, goes on with them, and counts what was found rightly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.engine import store, worlds
from bench.engine.arm import CPU, RATE
from bench.engine.design import Design
from bench.questions import selftest
from bench.questions.selftest import COST, HOLD, NOTHING, PLAIN, PLANTED, SPIN, SelfTestRun
from tests.support.bench_fakes import FakeWorld, measured, quiet
from twinstack.errors import TwinstackError

RUN = SelfTestRun("net", NOTHING, 0.0, 5.0, 1.0, 0.98, 1.02, 0.9, 0.1, -5.0, 5.0, 0.0, 0.028, 0)


def test_a_run_is_what_was_measured() -> None:
    ended = measured({PLAIN: 4_000, PLANTED: 3_800}, [COST])
    run = selftest.judged(ended, "net", SPIN, 5.0)
    assert run.right
    assert run.extra_us == pytest.approx(400e3 / 3_800 - 100, abs=1)
    assert not selftest.judged(ended, "net", NOTHING, 0.0).right
    slower = measured({PLAIN: 4_000, PLANTED: 3_800}, [COST], quantities=(RATE, CPU))
    assert selftest.judged(slower, "net", HOLD, 0.05).right


def test_a_wrong_sign_is_found_but_not_right() -> None:
    wrong = replace(RUN, plant=SPIN, size=20.0, estimate=0.95, p=0.001)
    assert (wrong.found, wrong.right) == (True, False)
    assert "with the wrong sign in 1" in " ".join(selftest.text([wrong]).split())


def test_runs_are_kept_and_read_by_their_kind(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "selftest.jsonl"
    for run in (RUN, replace(RUN, plant=SPIN, size=20.0), RUN):
        store.add_run(file, run)
    assert selftest.read(file, "net", NOTHING, 0.0, 5.0) == [RUN, RUN]
    assert selftest.read(file, "docker", NOTHING, 0.0, 5.0) == []
    assert selftest.read(tmp_path / "absent", "net", NOTHING, 0.0, 5.0) == []


def test_false_alarms_are_said_as_a_part_of_the_runs() -> None:
    said = selftest.text([RUN] * 19 + [replace(RUN, p=0.01)])
    assert "1 found a difference that is not there: 5.0%." in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize(
    ("plant", "size"),
    [(NOTHING, 1.0), (SPIN, 0.0), (SPIN, -1.0), (SPIN, 1e6), (HOLD, 0.0), (HOLD, 0.6), ("x", 0.0)],
)
def test_what_cannot_be_planted_is_refused_before_a_world_is_touched(
    stack: Any, plant: str, size: float
) -> None:
    with pytest.raises(TwinstackError, match="cannot be"):
        selftest.ask(
            stack, world="net", how=Design(), runs=1, plant=plant, size=size, progress=quiet
        )
    assert stack.actions == []


def test_a_run_without_a_verdict_is_measured_again(
    stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = measured({PLAIN: 4_000, PLANTED: 4_000}, [COST])
    spoiled = [replace(window, rest_us={"left over": 1e9}) for window in good.windows]
    busy = replace(good, windows=tuple(spoiled))
    ended = iter([busy, good, good])
    monkeypatch.setattr(selftest, "run", lambda *_: next(ended))
    monkeypatch.setattr(worlds, "ready", lambda *_: FakeWorld("net", 1))
    file, how = tmp_path / "selftest.jsonl", good.design
    selftest.ask(stack, world="net", how=how, runs=2, kept=file, progress=quiet)
    assert len(selftest.read(file, "net", NOTHING, 0.0, how.minutes)) == 2
    always = replace(good, windows=tuple(spoiled))
    monkeypatch.setattr(selftest, "run", lambda *_: always)
    file.unlink()
    asked = selftest.ask(stack, world="net", how=how, runs=2, kept=file, progress=quiet)
    assert (asked.code, file.exists()) == (2, False)

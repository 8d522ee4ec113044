"""The question that docs/benchmark.md has as its example is complete, short, and right."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

from bench.engine import worlds
from bench.engine.arm import PROGRAMS
from bench.engine.design import Design
from bench.engine.experiment import Experiment
from bench.engine.measured import Measured
from tests.support.bench_fakes import measured, quiet
from tests.support.project import ROOT

PAGE = (ROOT / "docs/benchmark.md").read_text(encoding="utf-8")
QUESTION, TASK = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.M | re.S)


def test_the_example_of_a_question_runs(stack: Any, monkeypatch: Any) -> None:
    module: Any = ModuleType("neighbour")
    exec(compile(QUESTION, "docs/benchmark.md", "exec"), module.__dict__)
    asked: list[Experiment] = []

    def run(experiment: Experiment, how: Design, progress: Any) -> Measured:
        asked.append(experiment)
        with experiment.stage() as arms, arms[0].during() as programs:
            assert set((programs or {}).values()) == {PROGRAMS}
        rates = {arm.name: 4_000.0 for arm in arms}
        return measured(
            rates,
            experiment.contrasts,
            quantities=experiment.quantities,
            bounds=experiment.bounds,
        )

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(worlds, "restart", lambda restarted, progress: None)
    outcome = module.ask(stack, world="net", how=Design(), progress=quiet)
    assert outcome.fields["verdict"]["word"] == "equivalent"
    assert [bound["holds"] for bound in outcome.fields["bounds"]] == ["holds"]
    assert stack.policies[-1] == ("net", True, True)


def test_the_example_is_short_and_its_task_names_it() -> None:
    assert len((QUESTION + TASK).splitlines()) < 80
    compile(TASK, "docs/benchmark.md", "exec")
    assert '_compare("neighbour"' in TASK

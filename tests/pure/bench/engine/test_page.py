"""The page of a result opens with the answer, and needs nothing but itself."""

from __future__ import annotations

import re
from typing import Any

from bench.engine import page, result, store
from bench.engine.arm import Contrast
from bench.engine.result import outcome_of
from bench.engine.store import Outcome
from tests.support.bench_fakes import PLAN, measured, window

COST = Contrast("docker", "namespaces")
ENVIRONMENT = {
    "cpu": "A <CPU>",
    "cores": 2,
    "memory_bytes": 2**32,
    "limits": {"nginx-lb": "1 cores", "api-gateway": "1 cores"},
    "mitigations": {"spectre_v2": "Retpolines"},
    "revision": "0123",
}


def written(**fields: Any) -> str:
    ended = measured({"namespaces": 4_000, "docker": 3_800}, [COST], **fields)
    outcome = outcome_of(ended, "compare", PLAN)
    document = store.document(outcome, ENVIRONMENT)
    return page.html(document, outcome.windows, outcome.text, "x-compare")


def test_a_page_opens_with_the_verdict_and_has_four_charts() -> None:
    text = written()
    first = re.search(r"<h1>(.*?)</h1>", text)
    assert first is not None
    assert first[1].startswith("docker over namespaces, CPU time per request: 5")
    assert text.count("<svg ") == 4
    assert text.index("<h1>") < text.index("<svg ")


def test_a_page_loads_nothing_and_has_a_dark_scheme() -> None:
    text = written()
    assert "<script" not in text
    assert not re.findall(r'(?:src|href)="(?!x-compare)', text)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme:dark" in text


def test_a_page_names_machine_design_and_what_disturbed() -> None:
    text = written(repeated=2, busy=1)
    for words in ("A &lt;CPU&gt;", "nginx-lb, api-gateway", "2 measured again, 1 kept"):
        assert words in text, words
    assert "36 blocks" not in text
    assert "<td>18</td>" in text


def test_an_interrupted_result_has_its_windows_and_says_why() -> None:
    few = (window("docker"), window("namespaces"))
    ended = measured({}, [COST], windows=few, broken="stopped by Ctrl-C", code=130)
    document = {**result.fields(ended), "name": "x", "started": "2026-11-28T10:00:00+00:00"}
    text = page.html(document | {"environment": ENVIRONMENT}, few, "as printed", "x")
    assert "<h1>No verdict: stopped by Ctrl-C</h1>" in text
    assert text.count("<svg ") == 2


def test_a_result_of_another_kind_has_its_text() -> None:
    outcome = Outcome("startup", PLAN, (), "healthy after 3 s")
    text = page.html(store.document(outcome, ENVIRONMENT), (), outcome.text, "x-startup")
    assert "<h1>startup</h1>" in text
    assert "healthy after 3 s" in text
    assert "x-startup.csv" not in text
    assert "<svg " not in text


def test_a_result_that_shares_a_gap_out_has_a_chart_of_it() -> None:
    of = {"estimate": 0.2, "low": 0.1, "high": 0.3}
    shares = dict.fromkeys(("as the seed ran", "docker-proxy", "causes away"), of)
    assert [drawing.title for drawing in page.estimates({"shares": shares})] == [
        "What each cause is worth"
    ]
    assert list(page.estimates({})) == []

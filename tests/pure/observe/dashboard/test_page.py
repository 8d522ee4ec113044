"""The page is well-formed for worlds that are up and down, and shows the last benchmark."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import jinja2
import pytest

from bench.engine import store
from bench.engine.arm import Contrast
from bench.engine.result import outcome_of
from tests.support.bench_fakes import PLAN, measured
from tests.support.project import ROOT
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.dashboard import page

TEMPLATES = ROOT / "templates"


def test_templates_are_compiled_once(monkeypatch: pytest.MonkeyPatch):
    plans: dict[WorldName, Plan | None] = {"net": None}
    first = page.page(plans, ROOT / "none", TEMPLATES)
    monkeypatch.setattr(jinja2, "Environment", None)
    assert page.page(plans, ROOT / "none", TEMPLATES) == first


def test_the_page_is_well_formed_for_one_world_and_for_none():
    plans: dict[WorldName, Plan | None] = {"net": PLAN, "docker": None}
    text = page.page(plans, ROOT / "bench" / "results", TEMPLATES).decode()
    assert text.count('data-row="') == len(PLAN.replicas)
    assert "not up: invoke docker.up" in text
    assert "<dt>host tracks</dt>" in text  # both worlds show the same number
    for svg in re.findall(r"<svg.*?</svg>", text, flags=re.S):
        ElementTree.fromstring(svg)
    empty = page.page({"net": None}, ROOT / "none", TEMPLATES).decode()
    assert "None was kept yet" in empty


def test_the_newest_comparison_that_can_be_read_is_shown(tmp_path):
    ended = measured({"namespaces": 4_000, "docker": 3_800}, [Contrast("docker", "namespaces")])
    document = store.described(outcome_of(ended, "compare", PLAN))
    kept = store.keep(outcome_of(ended, "compare", PLAN), document, tmp_path)
    (tmp_path / "29990101T000000Z-compare.json").write_text("{")
    older = sorted((ROOT / "bench" / "results").glob("*-compare.json"))[0]
    (tmp_path / "29980101T000000Z-compare.json").write_bytes(older.read_bytes())
    benchmark = page.newest(tmp_path)
    assert benchmark is not None
    assert benchmark.page == kept.with_suffix(".html").name
    text = page.page({"net": None}, tmp_path, TEMPLATES).decode()
    assert "docker over namespaces, CPU time per request: 5.3 % more" in text
    assert '<td class="number">−5.0 % [−5.4, −4.6]</td>' in text


def test_a_comparison_that_cannot_tell_is_shown_as_such(tmp_path):
    ended = measured({"namespaces": 4_000, "docker": 3_800}, [Contrast("docker", "namespaces")])
    document = store.described(outcome_of(ended, "compare", PLAN))
    kept = store.keep(outcome_of(ended, "compare", PLAN), document, tmp_path)
    mute = json.loads(kept.with_suffix(".json").read_text())
    del mute["contrasts"][0]["ratios"]["cpu"]
    kept.with_suffix(".json").write_text(json.dumps(mute))
    text = page.page({"net": None}, tmp_path, TEMPLATES).decode()
    assert '<td class="number">cannot tell</td>' in text

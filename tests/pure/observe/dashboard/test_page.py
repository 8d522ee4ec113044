"""The page is well-formed for worlds that are up and down, and shows the newest benchmark."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import jinja2
import pytest

from tests.support.bench_fakes import PLAN
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
    for svg in re.findall(r"<svg.*?</svg>", text, flags=re.S):
        ElementTree.fromstring(svg)
    empty = page.page({"net": None}, ROOT / "none", TEMPLATES).decode()
    assert "None was kept yet" in empty


def test_the_newest_comparison_that_can_be_read_is_shown(tmp_path):
    kept = sorted((ROOT / "bench" / "results").glob("*-compare.json"))[0]
    (tmp_path / kept.name).write_bytes(kept.read_bytes())
    (tmp_path / "29990101T000000Z-compare.json").write_text("{")
    benchmark = page.newest(tmp_path)
    assert benchmark is not None
    assert benchmark.page == kept.with_suffix(".md").name
    assert benchmark.rows[0].rate.median > 0

"""The page is well-formed for worlds that are up and down; its map fits the width of a phone."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import jinja2
import pytest

from bench.engine import store
from bench.engine.arm import Contrast
from bench.engine.result import outcome_of
from tests.support.bench_fakes import PLAN, TOPOLOGY, measured
from tests.support.project import ROOT
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology import WorldName
from twinstack.observe.dashboard import page
from twinstack.observe.dashboard.page import WIDTH, broken, topology_map

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
    assert "<dt>tracked (host)</dt>" in text  # both worlds show the same number
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


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_the_map_holds_every_replica_within_its_width(shape: str):
    plan = resolve(TOPOLOGY, shape)
    drawn = topology_map(plan)
    names = [node.name for node in drawn.nodes]
    assert names[0] == "world"
    assert set(names[1:]) == {replica.name for replica in plan.replicas}
    for node in drawn.nodes:
        assert 0 <= node.x <= WIDTH - node.width
        assert node.bottom <= drawn.height
    corners = {(node.x, node.y) for node in drawn.nodes}
    assert len(corners) == len(names)
    pairs = {(edge.source, edge.destination) for edge in drawn.edges}
    assert pairs >= {
        ("world", "nginx-lb"),
        ("nginx-lb", "api-gateway"),
        ("api-gateway", "product-service-3"),
        ("order-service", "redis-cache"),
    }
    assert ("nginx-lb", "redis-cache") not in pairs


def test_rows_go_from_the_clients_to_the_stores():
    nodes = topology_map(resolve(TOPOLOGY, "flat")).nodes
    heights = {node.name: node.y for node in nodes}
    rows = (
        {"world"},
        {"nginx-lb"},
        {"api-gateway"},
        {"product-service", "order-service"},
        {"redis-cache", "postgres-db", "service-registry"},
    )
    drawn = [{heights[name] for name in row} for row in rows]
    assert [len(row) for row in drawn] == [1] * len(rows)
    assert drawn == sorted(drawn, key=min)


def test_a_flow_within_a_row_is_drawn_below_it():
    drawn = topology_map(resolve(TOPOLOGY, "flat"))
    nodes = {node.name: node for node in drawn.nodes}
    path = next(
        edge.path
        for edge in drawn.edges
        if (edge.source, edge.destination) == ("order-service", "product-service")
    )
    heights = [float(word) for word in path.replace("C", " ").split()[1::2]]
    assert min(heights) == nodes["order-service"].bottom == nodes["product-service"].bottom
    assert max(heights) > min(heights)


def test_long_names_are_broken_near_their_middle():
    assert broken("nginx-lb") == ("nginx-lb",)
    assert broken("product-service-2") == ("product-", "service-2")

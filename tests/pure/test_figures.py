"""The places for figures are filled from the newest results, and say whence."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.engine import result, store
from bench.engine.arm import Contrast
from bench.engine.result import outcome_of
from docs import figures
from docs.kept_results import COMPARISONS, newest
from tests.support.bench_fakes import PLAN, measured
from tests.support.project import ROOT

ENVIRONMENT: dict[str, object] = {
    "kernel": "6.1",
    "os": "Debian",
    "cpu": "A CPU",
    "cores": 2,
    "docker": "20.10",
    "shape": "flat",
    "revision": "0123456789ab",
    "limits": {"nginx-lb": "1 cores"},
}
EDGES = Contrast("docker", "namespaces")
PORT = Contrast("docker :8088", "docker")
RATES = {"namespaces": 4_000, "docker": 3_800, "docker :8088": 3_300}
LOAD = "20 kept connections (wrk), /api/products"


def keep(
    folder: Path,
    name: str,
    day: int,
    contrasts: Sequence[Contrast] = (EDGES,),
    **changes: object,
) -> None:
    """Keep a comparison of the present engine, or what an earlier one said."""
    document: dict[str, object] = {
        "name": name,
        "started": f"2026-11-{day:02}T10:00:00+00:00",
        "environment": ENVIRONMENT | {"shape": changes.pop("shape", "flat")},
    }
    if name in COMPARISONS:
        arms = {
            arm: RATES.get(arm, 4_000) for pair in contrasts for arm in (pair.second, pair.first)
        }
        document |= {"schema": store.SCHEMA, **result.fields(measured(arms, contrasts, load=LOAD))}
    else:
        document |= {"said": ["a table   with columns", "The chain carries", "half."]}
    if changes.get("schema") == 1:  # its contrasts were sentences
        document["contrasts"] = [{"sentence": "Docker answered fewer."}]
    stem = folder / f"202611{day:02}T100000Z-{name}"
    stem.with_suffix(".json").write_text(json.dumps(document | changes))
    stem.with_suffix(".md").write_text(f"# {name}\n\n```\nthe table of day {day}\n```\n")


def test_the_headline_is_the_newest_of_the_usual_kind(tmp_path):
    keep(tmp_path, "compare", 1)
    keep(tmp_path, "compare", 2)
    keep(tmp_path, "compare", 3, shape="tiered")
    keep(tmp_path, "compare", 4, not_alike=["limits"])
    keep(tmp_path, "compare", 5, load="20 kept connections (wrk), /health")
    said = figures.headline(newest(tmp_path))
    assert "```text\nthe table of day 2\n```" in said
    assert "2026-11-02 10:00 UTC on 2 cores (A CPU)" in said.replace("\n", " ")
    assert "(../bench/results/20261102T100000Z-compare.md)" in said


def test_without_a_comparison_of_the_present_engine_that_is_said(tmp_path):
    keep(tmp_path, "compare", 1, schema=1)
    interrupted: dict[str, object] = {"verdict": None, "bounds": []}
    keep(tmp_path, "compare", 2, (), **interrupted)
    keep(tmp_path, "turns", 3)
    keep(tmp_path, "chain", 4)
    found = newest(tmp_path)
    for told in (figures.summary(found), figures.headline(found), figures.turns(found)):
        assert told.startswith("No comparison by the present method is kept yet: run `invoke bench")


def test_each_question_has_its_line_measured_or_not(tmp_path):
    keep(tmp_path, "compare", 1)
    keep(tmp_path, "compare", 2, shape="tiered")
    keep(tmp_path, "layers", 1)
    keep(tmp_path, "hosts", 1)
    lines = figures.figures(newest(tmp_path)).splitlines()
    flat, tiered = (line for line in lines if line.startswith("| `bench`"))
    assert "docker over namespaces, CPU time per request: 5.3 % more (95 % CI" in flat
    assert "docker over namespaces: requests per second −5." in flat
    assert "shape tiered" in tiered
    (layers,) = (
        line for line in lines if line.startswith("| `bench.layers` | The chain carries half.")
    )
    assert layers.endswith("0123456789ab, by an earlier method |")
    assert "| `bench.chain` | see `bench/results` | |" in lines
    assert "| `bench.hosts` | see `bench/results` | |" in lines


def test_a_comparison_with_published_ports_is_that_of_turns(tmp_path: Path):
    for day in (1, 2):
        keep(tmp_path, "compare", day, [EDGES, PORT])
        page = tmp_path / f"202611{day:02}T100000Z-compare.md"
        page.write_text(f"# compare\n\n```\nday {day}\n\nAlike but for:\n- logs\n```\n")
    found = newest(tmp_path)
    assert figures.turns(found).endswith("```text\nday 2\n```")
    assert "run `invoke bench`" in figures.headline(found)
    (line,) = (
        line
        for line in figures.figures(found).splitlines()
        if line.startswith("| `bench --published`")
    )
    assert "docker :8088 over docker: CPU time per request +15." in line


def test_the_summary_has_the_verdict_where_it_goes_and_what_ports_cost(tmp_path):
    keep(tmp_path, "compare", 1, [EDGES, PORT])
    keep(tmp_path, "aa-net", 2, [Contrast("namespaces A", "namespaces B")])

    items = figures.summary(newest(tmp_path)).partition("\n\n")[0]
    first, where, port, same = (" ".join(item.split()) for item in items.split("\n- "))

    assert first.startswith("- **Docker over namespaces**, CPU time per request: 5.3 % more (95 %")
    assert "Requests per second: −5." in first
    assert re.search(r"per request: \+5\.\d µs \[.*\]; services \+4\.\d µs \[", where)
    assert "CPU time per request +15." in port
    assert "no difference found [" in same


def test_no_part_is_named_that_may_be_chance():
    even = {"estimate": 0.4, "low": -1.0, "high": 1.8}
    assert figures._ledger({"services": even, "all": even}) == (
        "no difference found [−1.0, +1.8 µs]; no part of it can be told from chance"
    )


def test_failed_requests_are_told(tmp_path):
    keep(tmp_path, "compare", 1, failed=2)
    assert "Some requests FAILED." in figures.figures(newest(tmp_path))


def test_a_kept_outcome_can_be_read(tmp_path):
    outcome = outcome_of(
        measured({"namespaces": 4_000, "docker": 3_800}, [EDGES], load=LOAD), "compare", PLAN
    )
    store.keep(outcome, store.described(outcome), tmp_path)
    assert "5.3 % more" in figures.summary(newest(tmp_path))


def test_filling_twice_is_filling_once():
    page = "above\n<!-- X -->\nold\n<!-- /X -->\nbelow\n"
    once = figures.filled(page, "X", "new\nwords")
    assert once == "above\n<!-- X -->\nnew\nwords\n<!-- /X -->\nbelow\n"
    assert figures.filled(once, "X", "new\nwords") == once
    with pytest.raises(ValueError, match="no place called Y"):
        figures.filled(page, "Y", "")


def test_the_pages_have_their_places_and_these_are_filled():
    for page, place in (
        (ROOT / "README.md", "SUMMARY"),
        (ROOT / "docs/benchmark.md", "TURNS"),
        (ROOT / "docs/benchmark.md", "RESULT"),
        (ROOT / "docs/benchmark.md", "FIGURES"),
        (ROOT / "README.md", "ENGINES"),
        (ROOT / "docs/docker.md", "ENGINES"),
    ):
        text = page.read_text()
        assert figures.filled(text, place, "") != text
        held = text.partition(f"<!-- {place} -->")[2].partition("<!-- /")[0]
        assert re.search(r"\d{4}-\d\d-\d\d|is kept yet: run", held)


def test_the_newest_results_are_drawn_with_when_and_where_they_were_measured(tmp_path: Path):
    assert figures.pictures(tmp_path) == {}
    for day in (1, 2):
        keep(tmp_path, "compare", day)
    of = {"estimate": 0.2, "low": 0.1, "high": 0.3}
    shares = dict.fromkeys(("as the seed ran", "docker-proxy", "causes away"), of)
    keep(tmp_path, "seed", 3, schema=store.SCHEMA, shares=shares)
    phase = {"median": 12.0, "minimum": 9.0, "maximum": 2_000.0}
    row = {"name": "twinstack", "size": 8, "up": phase, "down": phase}
    keep(tmp_path, "scale", 4, result={"rows": [row]})

    drawn = figures.pictures(tmp_path)

    assert list(drawn) == ["benchmark.svg", "seed.svg", "scale.svg"]
    for svg, day, words in zip(
        drawn.values(), (2, 3, 4), ("5.3 % more", "docker-proxy", "12 ms, 12 ms"), strict=True
    ):
        text = " ".join(ElementTree.fromstring(svg).itertext())
        assert f"Measured 2026-11-{day:02} 10:00 UTC on 2 cores (A CPU)" in " ".join(text.split())
        assert words in text


def test_the_page_of_scale_shows_the_newest_race(tmp_path: Path):
    assert "run `invoke check.scale`" in figures.scale(tmp_path)
    for day in (3, 4):
        keep(tmp_path, "scale", day)

    told = figures.scale(tmp_path)

    assert "the table of day 4" in told
    assert "[here](../bench/results/20261104T100000Z-scale.md)" in told


def test_the_pages_say_which_engines_were_tried_last(tmp_path: Path):
    assert "run `invoke check.engines`" in figures.engines(tmp_path, whole=False)
    for day in (3, 4):
        keep(tmp_path, "engines", day, said=[f"Docker {day}: all as it should be.", "", "a  table"])

    brief = figures.engines(tmp_path, whole=False)
    whole = figures.engines(tmp_path, whole=True)

    page = "bench/results/20261104T100000Z-engines.md"
    assert brief == f"- [Tried 2026-11-04]({page}): Docker 4: all as it should be."
    assert f"(../{page})" in whole
    assert "```text\nthe table of day 4\n```" in whole

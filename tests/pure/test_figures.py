"""The places for figures are filled from the newest results, and say whence."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from docs import figures
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
ROWS = [
    {"name": name, "rate": {"median": rate}, "cpu_us_per_request": us}
    for name, rate, us in (("namespaces", 3000.4, 444.0), ("docker", 2900.0, 470.0))
]


def keep(folder: Path, name: str, day: int, **changes: object) -> None:
    document: dict[str, object] = {
        "name": name,
        "started": f"2026-11-{day:02}T10:00:00+00:00",
        "environment": ENVIRONMENT | {"shape": changes.pop("shape", "flat")},
        "said": ["a table   with columns", "The chain carries", "half."],
    }
    if name == "compare":
        document |= {
            "load": {
                "path": "/api/products",
                "keepalive": False,
                "requests": 1000,
                "concurrency": 50,
            },
            "rounds": 10,
            "rows": ROWS,
            "not_alike": [],
            "succeeded": True,
            "contrasts": [{"sentence": "No measurable difference."}],
        }
    stem = folder / f"202611{day:02}T100000Z-{name}"
    stem.with_suffix(".json").write_text(json.dumps(document | changes))
    stem.with_suffix(".md").write_text(f"# {name}\n\n```\nthe table of day {day}\n```\n")


def test_the_headline_is_the_newest_of_the_usual_kind(tmp_path):
    keep(tmp_path, "compare", 1)
    keep(tmp_path, "compare", 2)
    keep(tmp_path, "compare", 3, shape="tiered")
    keep(tmp_path, "compare", 4, not_alike=["limits"])
    said = figures.headline(figures.usual(figures.newest(tmp_path)))
    assert "```text\nthe table of day 2\n```" in said
    assert "2026-11-02 10:00 UTC on 2 cores (A CPU)" in said.replace("\n", " ")
    assert "(../bench/results/20261102T100000Z-compare.md)" in said


def test_without_a_comparison_nothing_is_said(tmp_path):
    keep(tmp_path, "chain", 1)
    with pytest.raises(figures.NoResult, match="make bench"):
        figures.usual(figures.newest(tmp_path))


def test_each_question_has_its_line_measured_or_not(tmp_path):
    keep(tmp_path, "compare", 1)
    keep(tmp_path, "compare", 2, shape="tiered")
    keep(tmp_path, "chain", 1)
    lines = figures.figures(figures.newest(tmp_path)).splitlines()
    flat, tiered = (line for line in lines if line.startswith("| `bench`"))
    assert "namespaces 3000 req/s and 444 µs of CPU a request, docker 2900 and 470." in flat
    assert "No measurable difference." in flat
    assert "shape tiered" in tiered
    assert any("| `bench.chain` | The chain carries half. | [2026-11-01" in line for line in lines)
    assert "| `bench.layers` | see `bench/results` | |" in lines


def test_worlds_in_turn_are_told_by_their_sentences(tmp_path: Path):
    assert "run `invoke bench.turns`" in figures.turns(figures.newest(tmp_path))
    same = {"estimate": 1.01, "low": 0.99, "high": 1.02}
    fewer = {"estimate": 0.95, "low": 0.91, "high": 0.96}
    ways = {"first": "docker", "second": "namespaces", "rate": fewer, "host": same}
    for day in (1, 2):
        keep(tmp_path, "turns", day, result={"differences": [ways]})
        page = tmp_path / f"202611{day:02}T100000Z-turns.md"
        page.write_text(f"# turns\n\n```\nday {day}\n\nAlike but for:\n- logs\n```\n")
    found = figures.newest(tmp_path)
    assert figures.turns(found).endswith("```text\nday 2\n```")
    assert (
        "| `bench.turns` | docker over namespaces: requests per second −5.0 % (−9.0 % to −4.0 %), "
        "CPU time a request on the whole host no difference found (−1.0 % to +2.0 %). "
        "| [2026-11-02"
    ) in figures.figures(found)


def test_the_summary_says_an_estimate_only_where_zero_is_outside_its_interval(tmp_path):
    def difference(first: str, second: str, estimate: float, low: float, high: float) -> object:
        ratio = {"estimate": estimate, "low": low, "high": high}
        return {"first": first, "second": second, "rate": ratio, "host": ratio, "host_us": 100.0}

    found = [
        difference("docker", "namespaces", 0.95, 0.91, 0.96),
        difference("namespaces too", "namespaces", 0.99, 0.97, 1.01),
    ]
    keep(tmp_path, "turns", 1, load=figures.USUAL, result={"differences": found})

    text = " ".join(figures.summary(figures.newest(tmp_path)).split())

    assert "requests per second −5.0 % [−9.0, −4.0], host CPU per request −5 µs [−9, −4]" in text
    assert "requests per second no difference found [−3.0, +1.0 %]" in text


def test_failed_requests_are_told(tmp_path):
    keep(tmp_path, "compare", 1, succeeded=False)
    assert "Some requests FAILED." in figures.figures(figures.newest(tmp_path))


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
    ):
        text = page.read_text()
        assert figures.filled(text, place, "") != text
        held = text.partition(f"<!-- {place} -->")[2].partition("<!-- /")[0]
        assert re.search(r"\d{4}-\d\d-\d\d", held)


def test_the_page_of_scale_shows_the_newest_race(tmp_path: Path):
    assert "run `invoke check.scale`" in figures.scale(tmp_path)
    for day in (3, 4):
        keep(tmp_path, "scale", day)

    told = figures.scale(tmp_path)

    assert "the table of day 4" in told
    assert "[here](../bench/results/20261104T100000Z-scale.md)" in told

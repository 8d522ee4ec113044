"""The dashboard's page: a template, filled for each request."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.board.layout import TopologyMap, topology_map
from twinstack.observe.live.samples import key_of

FOLDER = "dashboard"
TITLES: Mapping[WorldName, str] = {"net": "Namespaces", "docker": "Docker"}


@dataclass(frozen=True, slots=True)
class PageWorld:
    """A world on the page; `plan` is None while it is not up."""

    name: WorldName
    plan: Plan | None

    @property
    def title(self) -> str:
        return TITLES[self.name]

    @property
    def key(self) -> str:
        """Identify what is drawn: the page reloads when this is not what runs."""
        return key_of(self.plan) if self.plan else ""

    @property
    def map(self) -> TopologyMap | None:
        return topology_map(self.plan) if self.plan else None


@dataclass(frozen=True, slots=True)
class BenchmarkRow:
    """An entry point in the last comparison."""

    name: str
    rate: float  # requests per second
    p50_ms: float
    p99_ms: float
    cpu_us: float  # per request


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The newest comparison under bench/results."""

    started: str
    page: str
    load: str
    rows: tuple[BenchmarkRow, ...]


def newest(results: Path) -> Benchmark | None:
    """Read the newest comparison that is readable; None where there is none."""
    for file in sorted(results.glob("*-compare.json"), reverse=True):
        try:
            return _benchmark(file, json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _benchmark(file: Path, document: Mapping[str, Any]) -> Benchmark:
    load = document["load"]
    return Benchmark(
        started=str(document["started"])[:16].replace("T", " ") + " UTC",
        page=file.with_suffix(".md").name,
        load=f"{load['requests']} requests, {load['concurrency']} at once, {load['path']}",
        rows=tuple(map(_row, document["rows"])),
    )


def _row(row: Mapping[str, Any]) -> BenchmarkRow:
    figures = row["rate"]["median"], row["p50_ms"], row["p99_ms"], row["cpu_us_per_request"]
    return BenchmarkRow(str(row["name"]), *map(float, figures))


@functools.cache
def _environment(templates: Path) -> Environment:
    """Compile each template once, and again when its file changes."""
    return Environment(
        loader=FileSystemLoader(templates / FOLDER),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def page(worlds: tuple[PageWorld, ...], results: Path, templates: Path) -> bytes:
    """Render the page."""
    template = _environment(templates).get_template("page.html.j2")
    return template.render(worlds=worlds, benchmark=newest(results)).encode()

"""The dashboard's page: a template, filled for each request."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ValidationError

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


class _Median(BaseModel):
    median: float


class BenchmarkRow(BaseModel):
    """An entry point in a comparison; rates in requests per second."""

    name: str
    rate: _Median
    p50_ms: float
    p99_ms: float
    cpu_us_per_request: float


class BenchmarkLoad(BaseModel):
    """What was asked for, how often, and by how many clients at once."""

    requests: int
    concurrency: int
    path: str


class Benchmark(BaseModel):
    """A comparison, as kept under bench/results."""

    started: datetime
    load: BenchmarkLoad
    rows: list[BenchmarkRow]
    page: str = ""


def newest(results: Path) -> Benchmark | None:
    """Read the newest comparison that is readable; None where there is none."""
    for file in sorted(results.glob("*-compare.json"), reverse=True):
        with suppress(OSError, ValidationError):
            found = Benchmark.model_validate_json(file.read_bytes())
            return found.model_copy(update={"page": file.with_suffix(".md").name})
    return None


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

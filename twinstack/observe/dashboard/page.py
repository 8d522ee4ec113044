"""The dashboard's page: a template, filled for each request."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.dashboard.layout import topology_map
from twinstack.observe.live.samples import key_of
from twinstack.software.configs import templates_in

FOLDER = "dashboard"
TITLES: Mapping[WorldName, str] = {"net": "Namespaces", "docker": "Docker"}


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
            benchmark = Benchmark.model_validate_json(file.read_bytes())
            return benchmark.model_copy(update={"page": file.with_suffix(".md").name})
    return None


def page(plans: Mapping[WorldName, Plan | None], results: Path, templates: Path) -> bytes:
    """Render the page of some worlds; the plan is None of one that is not up."""
    template = templates_in(templates / FOLDER, html=True).get_template("page.html.j2")
    worlds = [_world(name, plan) for name, plan in plans.items()]
    return template.render(worlds=worlds, benchmark=newest(results)).encode()


def _world(name: WorldName, plan: Plan | None) -> dict[str, object]:
    # The page reloads when the key of a sample is another: then another topology runs.
    key, drawn = (key_of(plan), topology_map(plan)) if plan else ("", None)
    return {"name": name, "title": TITLES[name], "plan": plan, "key": key, "map": drawn}

"""The dashboard's page: a template, filled for each request, and the last benchmark kept."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.dashboard.topology_map import topology_map
from twinstack.observe.live.samples import key_of
from twinstack.software.configs import templates_in

FOLDER = "dashboard"
TITLES: Mapping[WorldName, str] = {"net": "Namespaces", "docker": "Docker"}


class BenchmarkRatio(BaseModel):
    """A ratio of two entry points, with its interval."""

    estimate: float
    low: float
    high: float

    @property
    def percent(self) -> str:
        """Write it as a change: +5.3 % [+4.8, +5.7]."""
        ends = (f"{100 * (end - 1):+.1f}" for end in (self.estimate, self.low, self.high))
        return "{} % [{}, {}]".format(*(end.replace("-", "−") for end in ends))


class BenchmarkContrast(BaseModel):
    """What the first entry point costs over the second."""

    first: str
    second: str
    ratios: dict[str, BenchmarkRatio]


class Benchmark(BaseModel):
    """A comparison, as kept under bench/results; interrupted ones have no contrasts."""

    started: datetime
    load: str
    sentence: str
    contrasts: list[BenchmarkContrast] = Field(min_length=1)
    page: str = ""


def newest(results: Path) -> Benchmark | None:
    """Read the newest comparison that is readable; None where there is none."""
    for file in sorted(results.glob("*-compare.json"), reverse=True):
        with suppress(OSError, ValidationError):
            benchmark = Benchmark.model_validate_json(file.read_bytes())
            return benchmark.model_copy(update={"page": file.with_suffix(".html").name})
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

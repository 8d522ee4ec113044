"""The page and the files that it needs: templates of ours, filled once for each request."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.board.layout import Picture, picture
from twinstack.observe.live.samples import key_of

FOLDER = "dashboard"
TITLES: Mapping[WorldName, str] = {"net": "Namespaces", "docker": "Docker"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One world on the page. `plan` is None for one that is not up."""

    name: WorldName
    plan: Plan | None

    @property
    def title(self) -> str:
        return TITLES[self.name]

    @property
    def key(self) -> str:
        """Name what is drawn: the page asks for another when this is not what runs."""
        return key_of(self.plan) if self.plan else ""

    @property
    def picture(self) -> Picture | None:
        return picture(self.plan) if self.plan else None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the last comparison. Units: requests per second, milliseconds, microseconds."""

    name: str
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The newest comparison that was kept."""

    started: str
    page: str
    load: str
    rows: tuple[Row, ...]


def newest(results: Path) -> Benchmark | None:
    """Find the newest comparison under bench/results; None where there is none to be read."""
    for file in sorted(results.glob("*-compare.json"), reverse=True):
        try:
            return _benchmark(file, json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _benchmark(file: Path, found: Mapping[str, Any]) -> Benchmark:
    load = found["load"]
    return Benchmark(
        started=str(found["started"])[:16].replace("T", " ") + " UTC",
        page=file.with_suffix(".md").name,
        load=f"{load['requests']} requests, {load['concurrency']} at once, {load['path']}",
        rows=tuple(
            Row(
                str(one["name"]),
                float(one["rate"]["median"]),
                float(one["p50_ms"]),
                float(one["p99_ms"]),
                float(one["cpu_us_per_request"]),
            )
            for one in found["rows"]
        ),
    )


@functools.cache
def _engine(templates: Path) -> Environment:
    """Make ready what fills templates: it compiles each once, and again when its file changes."""
    return Environment(
        loader=FileSystemLoader(templates / FOLDER),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def page(worlds: tuple[Shown, ...], results: Path, templates: Path) -> bytes:
    """Write the page."""
    template = _engine(templates).get_template("page.html.j2")
    shown = {"worlds": worlds, "benchmark": newest(results), "year": time.gmtime().tm_year}
    return template.render(shown).encode()

"""Keep an outcome under bench/results/: JSON with every sample and the machine, and Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.engine import environment
from twinstack.model.plan import Plan
from twinstack.printable import dumps

RESULTS = Path(__file__).parents[1] / "results"
#: Raised when a key of the JSON changes its meaning or is removed. 2: `host_us` never contains
#: the load generator's CPU time; a turn's `client_us` is its window's.
SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a question found, and how it is kept."""

    name: str  # the result's file name ends in it
    plan: Plan
    result: Any  # a dataclass, or a tuple of them
    text: str
    code: int = 0  # the task's exit code
    not_alike: tuple[str, ...] = ()  # what was forced although it makes a ratio misleading
    fields: Mapping[str, object] = field(default_factory=dict)  # JSON in place of said and result
    software: Mapping[str, str] = field(default_factory=dict)  # digests and versions in both worlds
    started: datetime = field(default_factory=lambda: datetime.now(UTC))


def keep(outcome: Outcome, directory: Path = RESULTS) -> tuple[dict[str, object], Path]:
    """Write both files. Gives the JSON document and the path of the Markdown page."""
    machine = environment.describe(outcome.plan, outcome.software)
    kept = document(outcome, machine)
    directory.mkdir(parents=True, exist_ok=True)
    page = directory / f"{outcome.started:%Y%m%dT%H%M%SZ}-{outcome.name}.md"
    page.with_suffix(".json").write_text(dumps(kept, indent=1) + "\n", encoding="utf-8")
    page.write_text(markdown(outcome, machine), encoding="utf-8")
    return kept, page


def document(outcome: Outcome, machine: Mapping[str, object]) -> dict[str, object]:
    """Give the JSON document. Its keys are relied upon; pure."""
    return {
        "schema": SCHEMA,
        "name": outcome.name,
        "started": outcome.started.isoformat(),
        "forced": bool(outcome.not_alike),
        "environment": machine,
        "not_alike": list(outcome.not_alike),
        **(outcome.fields or {"said": outcome.text.splitlines(), "result": _plain(outcome.result)}),
    }


def _plain(result: Any) -> object:
    return [asdict(item) for item in result] if isinstance(result, tuple) else asdict(result)


def markdown(outcome: Outcome, machine: Mapping[str, object]) -> str:
    """Write the page; pure."""
    named = ", ".join(
        f"{key} {machine[key]}"
        for key in ("cpu", "cores", "kernel", "os", "docker", "ab", "shape", "revision")
        if machine.get(key)
    )
    when = f"{outcome.started:%Y-%m-%d %H:%M} UTC"
    return f"# {outcome.name}\n\n{when}: {named}\n\n```\n{outcome.text}\n```\n"

"""Keep an outcome under bench/results/: JSON, Markdown, a page with charts, a table of samples."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from bench.engine import environment
from bench.engine.arm import Window
from bench.engine.page import html
from twinstack.model.plan import Plan
from twinstack.printable import dumps

RESULTS = Path(__file__).parents[1] / "results"
#: A document's `format`: raised when a key changes its meaning or is removed. 2: `host_us` never
#: contains the load generator's CPU time; a turn's `client_us` is its window's. 3: contrasts, a
#: ledger and a verdict in place of rows and sentences; of the windows' table only the name is in
#: the file.
SCHEMA = 3


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
    windows: tuple[Window, ...] = ()  # kept as a table
    started: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class KeptResult:
    """What every result's JSON document has, beside the fields of its question."""

    format: int
    name: str
    started: str  # ISO 8601
    forced: bool
    environment: Mapping[str, object]
    not_alike: tuple[str, ...]


def add_run(file: Path, ended: Any) -> None:
    """Add a run, a dataclass, to those that are kept, a line each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(ended)) + "\n")


def runs(file: Path) -> Iterator[dict[str, Any]]:
    """Give the fields of the runs that are kept."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return map(json.loads, lines)


def table(windows: Sequence[Window]) -> str:
    """Write windows as one flat table, in the order measured: a row a window, a column a part.

    The JSON document leaves them out: with them it would be 95 parts samples of a hundred. Columns
    of a mapping are "parts_us.dockerd"; a cell is empty where there is no value. Pure.
    """
    rows = []
    for window in windows:
        cells: dict[str, object] = {}
        for name, value in asdict(window).items():
            if isinstance(value, dict):
                cells |= {f"{name}.{key}": float(number) for key, number in value.items()}
            else:
                cells[name] = value
        rows.append(cells)
    text = io.StringIO()
    columns = list(dict.fromkeys(chain.from_iterable(rows)))
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def described(outcome: Outcome) -> dict[str, object]:
    """Give the document, with every sample and the machine as it is now."""
    return document(outcome, environment.describe(outcome.plan, outcome.software))


def keep(outcome: Outcome, whole: Mapping[str, Any], directory: Path = RESULTS) -> Path:
    """Write all files, or none; give the path of the Markdown page. Raises: OSError."""
    page = directory / f"{outcome.started:%Y%m%dT%H%M%SZ}-{outcome.name}.md"
    files = {page.with_suffix(each): of for each, of in texts(outcome, whole, page.stem).items()}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            file.write_text(text, encoding="utf-8")
    except OSError:
        for file in files:
            file.unlink(missing_ok=True)
        raise
    return page


def texts(outcome: Outcome, whole: Mapping[str, Any], stem: str) -> dict[str, str]:
    """Give the files of an outcome by their suffix, the samples first."""
    rows, filed = {}, dict(whole)
    if outcome.windows:
        rows[".csv"] = table(outcome.windows)
        filed["samples"] = {"file": f"{stem}.csv", "rows": len(filed.pop("windows"))}
    return {
        **rows,
        ".json": dumps(filed, indent=1) + "\n",
        ".md": markdown(outcome, whole["environment"]),
        ".html": html(filed, outcome.windows, outcome.text, stem),
    }


def document(outcome: Outcome, machine: Mapping[str, object]) -> dict[str, object]:
    """Give the JSON document. Its keys are relied upon; pure."""
    started, unlike = outcome.started.isoformat(), outcome.not_alike
    shared = KeptResult(SCHEMA, outcome.name, started, bool(unlike), machine, unlike)
    if outcome.fields:
        return asdict(shared) | dict(outcome.fields)
    return asdict(shared) | {"said": outcome.text.splitlines(), "result": _plain(outcome.result)}


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

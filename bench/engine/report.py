"""Write a comparison down: a table that fits 80 columns, Markdown, and one JSON document; pure
but for `save`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.engine.comparability import Likeness, Weight
from bench.engine.comparison import Contrast, Row
from bench.engine.estimate import Ratio
from bench.engine.trials import Load, Rest, Sample
from twinstack.printable import dumps

#: At rest, more of the machine's CPU time than this spent by neither world is worth a warning.
BUSY_PART = 0.25
#: A world that spends this much more than twice the busiest one's rest is being used.
IDLE_SLACK_MS = 20.0
RESULTS = Path(__file__).parents[1] / "results"
#: Raised when a key of the JSON changes its meaning or goes.
SCHEMA = 1
WIDTH = 80


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that one run found, with what is needed to repeat it."""

    name: str
    started: datetime
    load: Load
    rounds: int
    seed: int
    environment: dict[str, object]
    likeness: Likeness | None
    forced: bool
    rest: Rest
    samples: tuple[Sample, ...]
    rows: tuple[Row, ...]
    contrasts: tuple[Contrast, ...]

    @property
    def succeeded(self) -> bool:
        """Tell whether every request of every trial got a whole 2xx answer."""
        return all(row.success_part == 1.0 for row in self.rows)


def table(rows: Sequence[Row]) -> str:
    """Draw the table, at most 80 columns wide."""
    head = (
        f"{'':<13}{'req/s':>7}{'(min–max)':>14}{'mean':>6}{'p50':>6}{'p99':>6}"
        f"{'ok':>7}{'MB/s':>6}{'CPU µs':>7}{'host':>6}"
    )
    lines = [head, "─" * len(head)]
    for row in rows:
        span = f"({row.rate.minimum:.0f}–{row.rate.maximum:.0f})"
        lines.append(
            f"{row.name:<13}{row.rate.median:>7.0f}{span:>14}{_ms(row.mean_ms):>6}"
            f"{_ms(row.p50_ms):>6}{_ms(row.p99_ms):>6}{_part(row.success_part):>7}"
            f"{row.transfer_bytes_per_s / 1e6:>6.1f}{row.cpu_us_per_request:>7.0f}"
            f"{row.host_us_per_request:>6.0f}"
        )
    return "\n".join(lines)


def legend(rows: Sequence[Row]) -> str:
    """Explain the table's columns and rows."""
    entries = "; ".join(f"{row.name} = {row.entry}, {row.trials} trials" for row in rows)
    return _wrap(
        f"Medians over trials; times in ms; CPU µs: per request, all replicas of the world; "
        f"host: the whole machine's, load generator left out. {entries}."
    )


def text(comparison: Comparison) -> str:
    """Write the whole report as a terminal shows it."""
    load = comparison.load
    asked = (
        f"{load.requests} requests, {load.concurrency} at once, "
        f"{'keep-alive' if load.keepalive else 'a connection each'}, {load.path}, "
        f"{comparison.rounds} rounds, seed {comparison.seed}"
    )
    parts = [
        asked,
        table(comparison.rows),
        legend(comparison.rows),
        "\n".join(_wrap(one.sentence) for one in comparison.contrasts),
        rest_sentence(comparison.rest, comparison.rows),
        idle_sentence(comparison.samples, comparison.rest),
        probes_sentence(comparison.rest),
        busy_sentence(comparison.rest, comparison.environment.get("cores")),
    ]
    if policy := comparison.environment.get("policy"):
        parts.append(
            _wrap(f"Policy: {policy}; the edge's limit of new connections was lifted meanwhile.")
        )
    if comparison.likeness is not None:
        if comparison.likeness.misleading:
            parts.append(differences(comparison.likeness, "misleads"))
        parts.append(differences(comparison.likeness, "stated"))
    if not comparison.succeeded:
        parts.insert(2, "Some requests FAILED: rates count successes only.")
    return "\n\n".join(part for part in parts if part)


def rest_sentence(rest: Rest, rows: Sequence[Row]) -> str:
    """Say what was spent at rest, and how much of a request's CPU time that was."""
    own = ", ".join(f"{name} {us / 1000:.1f} ms" for name, us in sorted(rest.cpu_us_per_s.items()))
    parts = "; ".join(
        f"{row.name} {row.cpu_us_per_request - row.work_us_per_request:.0f} of "
        f"{row.cpu_us_per_request:.0f} µs"
        for row in rows[:2]
    )
    return _wrap(
        f"CPU time per second at rest (health probes, leases, timers): {own}; the whole host "
        f"{rest.host_us_per_s / 1000:.1f} ms. That is, of the CPU time of a request: {parts}."
    )


def idle_sentence(samples: Sequence[Sample], rest: Rest) -> str:
    """Say whether the other world was idle while one was loaded; empty where there is one."""
    if len(rest.cpu_us_per_s) < 2 or not samples:
        return ""
    spent_ms = median(one.others_cpu_us / one.window_s for one in samples) / 1e3
    allowed_ms = 2 * max(rest.cpu_us_per_s.values()) / 1e3 + IDLE_SLACK_MS
    verdict = "idle" if spent_ms <= allowed_ms else "NOT idle: somebody else asks it"
    return _wrap(
        f"While one world was loaded, the other spent {spent_ms:.1f} ms of CPU a second: {verdict}."
    )


def probes_sentence(rest: Rest) -> str:
    """Say what the other world's probes do to the figures; empty for a world with itself."""
    if len(rest.cpu_us_per_s) < 2:
        return ""
    return _wrap(
        "Both worlds were up throughout, the other one idle: Docker's health probes ran also "
        "while the namespaces were loaded. They slow both, and host counts them in both: its "
        "figures are higher, and its ratio as a rule nearer to 1, than with one world up. CPU µs "
        "counts the loaded world's own only."
    )


def busy_sentence(rest: Rest, cores: object) -> str:
    """Warn of a machine that does other work; empty when it is quiet."""
    if not isinstance(cores, int) or cores < 1:
        return ""
    others = rest.host_us_per_s - sum(rest.cpu_us_per_s.values())
    part = others / (cores * 1e6)
    if part <= BUSY_PART:
        return ""
    return _wrap(
        f"This machine was BUSY: before any load, {part:.0%} of its CPU time went to neither "
        f"world. Intervals are wide and the host's column counts strangers; measure on a quiet one."
    )


def document(comparison: Comparison) -> dict[str, object]:
    """Give the JSON document. Its keys are relied upon."""
    likeness = comparison.likeness
    return {
        "schema": SCHEMA,
        "name": comparison.name,
        "started": comparison.started.isoformat(),
        "load": asdict(comparison.load),
        "rounds": comparison.rounds,
        "seed": comparison.seed,
        "forced": comparison.forced,
        "environment": comparison.environment,
        "not_alike": list(likeness.sentences("misleads")) if likeness else [],
        "alike_but_for": list(likeness.sentences("stated")) if likeness else [],
        "rest": asdict(comparison.rest),
        "rows": [asdict(row) for row in comparison.rows],
        "contrasts": [
            {
                "quantity": one.quantity,
                "first": one.first,
                "second": one.second,
                **ratio_document(one.ratio),
                "sentence": one.sentence,
            }
            for one in comparison.contrasts
        ],
        "succeeded": comparison.succeeded,
        "samples": [asdict(sample) for sample in comparison.samples],
    }


def ratio_document(found: Ratio | None) -> dict[str, object]:
    """Give a ratio as JSON; null where it cannot be told."""
    if found is None:
        return {"ratio": None, "low": None, "high": None, "level": None, "verdict": "cannot tell"}
    return {
        "ratio": found.estimate,
        "low": found.low,
        "high": found.high,
        "level": found.level,
        "verdict": found.verdict,
    }


def markdown(comparison: Comparison) -> str:
    """Write the report as a page."""
    return _page(comparison.name, comparison.started, comparison.environment, text(comparison))


def _page(name: str, started: datetime, environment: dict[str, object], said: str) -> str:
    machine = ", ".join(
        f"{key} {environment[key]}"
        for key in ("cpu", "cores", "kernel", "os", "docker", "ab", "shape", "revision")
        if environment.get(key)
    )
    return f"# {name}\n\n{started:%Y-%m-%d %H:%M} UTC: {machine}\n\n```\n{said}\n```\n"


def result_document(
    name: str,
    started: datetime,
    environment: dict[str, object],
    result: Any,
    said: str,
    not_alike: Sequence[str] = (),
) -> dict[str, object]:
    """Give the JSON document of any other question's result (a dataclass, or several)."""
    several = result if isinstance(result, (list, tuple)) else [result]
    plain = [asdict(one) for one in several]
    return {
        "schema": SCHEMA,
        "name": name,
        "started": started.isoformat(),
        "forced": bool(not_alike),
        "environment": environment,
        "not_alike": list(not_alike),
        "said": said.splitlines(),
        "result": plain if several is result else plain[0],
    }


def result_page(name: str, started: datetime, environment: dict[str, object], said: str) -> str:
    """Write any other question's result as a page."""
    return _page(name, started, environment, said)


def save(
    name: str,
    started: datetime,
    document: dict[str, object],
    page: str,
    directory: Path = RESULTS,
) -> Path:
    """Keep a result: JSON and Markdown under one name. Gives the Markdown's path."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = directory / f"{started:%Y%m%dT%H%M%SZ}-{name}"
    stem.with_suffix(".json").write_text(dumps(document, indent=1) + "\n", encoding="utf-8")
    page_file = stem.with_suffix(".md")
    page_file.write_text(page, encoding="utf-8")
    return page_file


def differences(likeness: Likeness, weight: Weight) -> str:
    """List what is not alike; empty when there is nothing of that weight."""
    title = "Forced, although NOT ALIKE:" if weight == "misleads" else "Alike but for:"
    lines = [
        textwrap.fill(one, WIDTH, initial_indent="- ", subsequent_indent="  ")
        for one in likeness.sentences(weight)
    ]
    return "\n".join([title, *lines]) if lines else ""


def _wrap(sentence: str) -> str:
    return textwrap.fill(sentence, WIDTH)


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _part(value: float) -> str:
    """Never round a failure up to 100 %."""
    return "100%" if value == 1 else f"{min(value * 100, 99.99):.2f}%"

"""The task of the CIS gate: a row for each rule, then findings, exceptions and reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from invoke.context import Context

from front import tables
from front.reporting import JSON, answer, checking, end, task
from twinstack import stack

if TYPE_CHECKING:
    from twinstack.cis.gate import CisReport


@task(help=JSON)
@checking
def policy_cis(_: Context, json: bool = False) -> None:
    """Hold the rendered Docker files against the CIS benchmark, hadolint and the compose schema."""
    from twinstack.cis.tools import examine

    main = replace(stack.from_environment(), instance="main")  # what is committed is main's
    shapes = [shape for shape in main.topology().shapes if shape != stack.DEFAULT_SHAPE]
    report = examine(main.repository, main.plan(), [main.plan(shape) for shape in shapes])
    answer(json, report.as_json(), _text(report))
    end(0 if report.passed else 1)


def _text(report: CisReport) -> str:
    from twinstack.cis.gate import grouped

    rows = [(row.number, row.outcome, row.title) for row in report.rows]
    parts = [tables.columns(("rule", "outcome", "what it asks"), rows)]
    for row in report.rows:
        lines = []
        for findings, mark in ((row.findings, "fail"), (row.exceptions, "exception")):
            for text, places in grouped(findings):
                lines += [f"{row.number} {mark}: {text}", *(f"    at {place}" for place in places)]
        because = "    because" if row.exceptions else f"{row.number} {row.outcome}:"
        lines += [f"{because} {why}" for why in row.reasons]
        if lines:
            parts.append("\n".join(lines))
    parts.append(", ".join(f"{count} {word}" for word, count in report.counts().items()))
    return "\n\n".join(parts)

"""The task of the CIS gate: a row for each rule, and what stands behind those that did not pass."""

from __future__ import annotations

from dataclasses import replace

from invoke.context import Context

from front import tables
from front.reporting import JSON, answer, checking, end, task
from twinstack import stack


@task(help=JSON)
@checking
def policy_cis(_: Context, json: bool = False) -> None:
    """Hold the rendered Docker files against the CIS benchmark, hadolint and the compose schema."""
    from twinstack.cis.gate import CisReport, grouped
    from twinstack.cis.tools import examine

    def text(report: CisReport) -> str:
        rows = [(row.number, row.outcome, row.title) for row in report.rows]
        parts = [tables.columns(("rule", "outcome", "what it asks"), rows)]
        for row in report.rows:
            lines = []
            for findings, mark in ((row.findings, "fail"), (row.exceptions, "exception")):
                for said, places in grouped(findings):
                    lines += [f"{row.number} {mark}: {said}", *(f"    at {one}" for one in places)]
            lines += [f"    because {why}" for why in row.reasons if row.exceptions]
            lines += [
                f"{row.number} {row.outcome}: {why}" for why in row.reasons if not row.exceptions
            ]
            if lines:
                parts.append("\n".join(lines))
        parts.append(", ".join(f"{count} {word}" for word, count in report.counts().items()))
        return "\n\n".join(parts)

    here = replace(stack.from_environment(), instance="main")  # what is committed is main's
    shapes = [shape for shape in here.topology().shapes if shape != stack.DEFAULT_SHAPE]
    report = examine(here.repository, here.plan(), [here.plan(shape) for shape in shapes])
    answer(json, report.as_json(), text(report))
    end(0 if report.passed else 1)

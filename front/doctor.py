"""The task that examines this machine."""

from __future__ import annotations

from invoke.context import Context

from front.reporting import answer, task, width
from twinstack import stack


@task()
def doctor(_: Context, json: bool = False) -> None:
    """List what this machine lacks, with the command that fixes each item."""
    from twinstack.doctor.checks import claims_of, judge
    from twinstack.doctor.facts import observe
    from twinstack.doctor.report import DoctorReport

    current = stack.from_environment()
    plans = (current.plan(shape) for shape in current.topology().shapes)
    claims = claims_of(current.instance, plans)
    report = DoctorReport(judge(claims, observe()))
    answer(json, report, report.table(width()), report.exit_code)

"""The tasks of the whole: remove everything, and list what a machine lacks."""

from __future__ import annotations

from invoke.context import Context

from front.reporting import JSON, answer, checking, end, guarded, root, say, show_removed, task
from twinstack import stack


@task(help=JSON)
@guarded
def clean(_: Context, json: bool = False) -> None:
    """Remove both worlds, their data, images and all that was built for them; list it."""
    current = stack.from_environment()
    say(f"instance {current.instance}")
    root("clean")
    show_removed(current.clean(say), json)


@task(help=JSON)
@checking
def doctor(_: Context, json: bool = False) -> None:
    """List what this machine lacks, with the command that fixes each item."""
    from twinstack.doctor.checks import claims_of, judge
    from twinstack.doctor.facts import observe
    from twinstack.doctor.report import DoctorReport

    current = stack.from_environment()
    claims = claims_of(current.plan(shape) for shape in current.topology().shapes)
    report = DoctorReport(judge(claims, observe()))
    answer(json, report.as_json(), report.table())
    end(report.exit_code)

"""The tasks that concern everything: `clean` and `doctor`."""

from __future__ import annotations

from invoke.context import Context

from front.options import JSON
from front.reporting import answer, checking, end, say, show_removed, task
from twinstack import stack
from twinstack.world import require_root


@task(help=JSON)
def clean(_: Context, json: bool = False) -> None:
    """Remove both worlds, their data, images and everything built for them, and list it."""
    current = stack.from_environment()
    say(f"instance {current.instance}")
    require_root("clean")
    show_removed(current.clean(say), json)


@checking(help=JSON)
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

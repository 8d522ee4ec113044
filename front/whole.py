"""The tasks of the whole: remove everything, and say what a machine lacks."""

from __future__ import annotations

from invoke.context import Context

from front.answering import JSON, answer, checking, end, guarded, root, say, show_removed, task
from twinstack import stack


@task(help=JSON)
@guarded
def clean(_: Context, json: bool = False) -> None:
    """Remove both worlds, their data, images and whatever was built for them; say what."""
    here = stack.from_environment()
    say(f"instance {here.instance}")
    root("clean")
    show_removed(here.clean(say), json)


@task(help=JSON)
@checking
def doctor(_: Context, json: bool = False) -> None:
    """Say what is missing on this machine, and the one command that mends each thing."""
    from twinstack.doctor import examine
    from twinstack.doctor.checks import wanted_by

    here = stack.from_environment()
    report = examine(wanted_by(here.plan(shape) for shape in here.topology().shapes))
    answer(json, report.as_json(), report.table())
    end(report.exit_code)

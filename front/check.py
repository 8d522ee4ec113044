"""The tasks that check a promise at full length; `make test` runs a sample of each."""

from __future__ import annotations

import os
import sys

from invoke.context import Context

from front.answering import checking, end, root, task
from twinstack import stack


def _run(context: Context, what: str, *files: str, words: str = "") -> None:
    """Run tests of tests/checks, every case of them, and end as they do."""
    root(f"check.{what}")
    places = " ".join(f"tests/checks/test_{file}.py" for file in files)
    options = "-m '' -q -p no:cacheprovider --timeout 0 --full"
    with context.cd(str(stack.REPOSITORY)):
        done = context.run(
            f"{sys.executable} -m pytest {options} {places} {words}", warn=True, pty=False,
            env={key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
        )  # fmt: skip
    end(0 if done is not None and done.ok else 1)


@task
@checking
def check_residue(context: Context) -> None:
    """Bring worlds up and down again and again; nothing may be left, no stranger touched."""
    _run(context, "residue", "residue", "docker_residue")


@task
@checking
def check_crash(context: Context) -> None:
    """Kill and fail up and down at every step; down must clear it and up converge."""
    _run(context, "crash", "crash", "docker_crash")


@task
@checking
def check_transitions(context: Context) -> None:
    """Go through random changes of the topology; each end must equal a fresh deployment."""
    _run(context, "transitions", "transitions")


#: The collection `check`, by the word after its dot.
TASKS = {
    "residue": check_residue,
    "crash": check_crash,
    "transitions": check_transitions,
}

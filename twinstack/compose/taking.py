"""Take a step: tell whoever watches, and give a failing call of the step's own its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twinstack.compose.failures import RAW, as_ours
from twinstack.compose.steps import Step
from twinstack.errors import Missing, StepFailed
from twinstack.world import Watch, watched


@contextmanager
def taking(watch: Watch, step: Step) -> Iterator[None]:
    """Let a block take a step. Raises: StepFailed, naming it, where the engine or the host fails.

    What says already what failed, and what to do, is let through as it is.
    """
    try:
        with watched(watch, step.title):
            yield
    except RAW as error:
        raise as_ours(error, step.title) from error
    except OSError as error:
        raise StepFailed(step.title, "fails", str(error)) from error


@contextmanager
def removing(watch: Watch, step: Step, failures: list[Exception]) -> Iterator[None]:
    """As `taking`, but go on past a failure and keep it; what is gone already is no failure."""
    try:
        with taking(watch, step):
            yield
    except Missing:
        return
    except Exception as error:
        failures.append(error)

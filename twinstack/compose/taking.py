"""Take a step: tell whoever watches, and give a failing call of the step's own its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twinstack.compose.failures import RAW, as_ours
from twinstack.compose.steps import Step
from twinstack.errors import Missing, StepFailed
from twinstack.reconcile import Watch, watched


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


def removing(
    watch: Watch, step: Step, failures: list[Exception], take: Callable[[], tuple[str, ...]]
) -> tuple[str, ...]:
    """Take a step and name what it removed; a failure is kept, and what is gone already is none."""
    try:
        with taking(watch, step):
            return take()
    except Missing:
        pass
    except Exception as error:
        failures.append(error)
    return ()

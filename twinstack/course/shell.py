"""Run the commands that a lesson's parts are written in, with bash, each within a bound."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from subprocess import CompletedProcess

from twinstack.course.own_step import OwnStep, Printed
from twinstack.errors import StepFailed
from twinstack.linux import process

#: A step may wait for packets to capture, or for a container to start.
_BOUND_S = 60.0


def look_at(steps: Iterable[OwnStep]) -> Printed:
    """Run the looks of steps, all at once. Raises: Missing without bash; StepFailed for no end."""
    looks = dict.fromkeys(look for step in steps for look in step.looks)
    waiting = {look: _begin(look) for look in looks}
    done = {look: wait() for look, wait in waiting.items()}
    return {look: of.stdout if of.returncode == 0 else "" for look, of in done.items()}


def make(step: OwnStep) -> None:
    """Run a step's commands; what is half there is taken away first. Raises: StepFailed."""
    remove(step)
    done = _begin("\n".join(["set -e", *step.commands]))()
    if done.returncode != 0:
        cause = (done.stderr or done.stdout).strip() or "it printed nothing"
        raise StepFailed(step.name, "cannot be made", cause, 'run "invoke course.stop"')


def remove(step: OwnStep) -> None:
    """Take a step's object away; what is absent is no failure."""
    for command in step.undo:
        _begin(command)()


def answers(command: str) -> tuple[str, ...]:
    """Give the answers that a command prints, a line each; nothing where it fails."""
    done = _begin(command)()
    lines = done.stdout.splitlines() if done.returncode == 0 else ()
    return tuple(line.strip() for line in lines if line.strip())


def is_right(text: str, command: str) -> bool:
    """Tell whether a command prints an answer that is `text`, but for blanks and case."""
    right = {" ".join(answer.lower().split()) for answer in answers(command)}
    return " ".join(text.lower().split()) in right


def _begin(script: str) -> Callable[[], CompletedProcess[str]]:
    return process.begin(["bash", "-c", script], timeout_s=_BOUND_S, check=False)

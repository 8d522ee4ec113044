"""Steps of a lesson that no plan has: commands make one, looks show it, others take it away.

A look is a command of the shell that changes nothing; `difference` judges what the looks printed,
and is pure. `look_at`, `make` and `remove` run the commands, as the student would.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from subprocess import CompletedProcess
from typing import ClassVar

from twinstack.errors import NotOurs, StepFailed, raise_all
from twinstack.linux import process
from twinstack.reconcile import Described

#: What each look printed; nothing if it failed, as it does where the thing is absent.
Printed = Mapping[str, str]
#: A step may wait for packets to capture, or for a container to start.
_TIMEOUT_S = 60.0


class OwnStep(Described):
    """One such step; its templates are as `Described` has them."""

    __slots__ = ()
    LOOKS: ClassVar[tuple[str, ...]]
    UNDO: ClassVar[tuple[str, ...]] = ()
    CLAIMS: ClassVar[tuple[str, ...]] = ()

    @property
    def looks(self) -> tuple[str, ...]:
        """The commands that show it."""
        return tuple(look.format(self) for look in self.LOOKS)

    @property
    def undo(self) -> tuple[str, ...]:
        """The commands that take it away; they fail where nothing of it is there."""
        return tuple(command.format(self) for command in self.UNDO)

    @property
    def sysctls(self) -> tuple[str, ...]:
        """The host's sysctls that it sets, which get their former values back."""
        return ()

    @property
    def claims(self) -> tuple[str, ...]:
        """The paths that must be free before a lesson, since `undo` takes away what is there."""
        return tuple(path.format(self) for path in self.CLAIMS)

    def difference(self, printed: Printed) -> str | None:
        """Say how it differs from what its looks printed; None when it does not."""
        raise NotImplementedError


def look_at(steps: Iterable[OwnStep]) -> Printed:
    """Run all looks at once. Raises: Missing without bash; StepFailed when one does not end."""
    looks = dict.fromkeys(look for step in steps for look in step.looks)
    waiting = {look: _begin(look) for look in looks}
    done = {look: wait() for look, wait in waiting.items()}
    return {look: of.stdout if of.returncode == 0 else "" for look, of in done.items()}


def refuse_strangers(steps: Iterable[OwnStep]) -> None:
    """Refuse to begin where a step's name is taken. Raises: NotOurs, SeveralFailed."""
    taken = [path for step in steps for path in step.claims if os.path.lexists(path)]
    raise_all(
        "course.start",
        [NotOurs(path, "is not ours", "the lesson needs its name", "rename it") for path in taken],
    )


def make(step: OwnStep) -> None:
    """Run its commands; what is half there is taken away first. Raises: StepFailed."""
    remove(step)
    done = _begin("\n".join(["set -e", *step.commands]))()
    if done.returncode != 0:
        cause = (done.stderr or done.stdout).strip() or "it printed nothing"
        raise StepFailed(step.name, "cannot be made", cause, 'run "invoke course.stop"')


def remove(step: OwnStep) -> None:
    """Take it away; what is absent is no failure."""
    for command in step.undo:
        _begin(command)()


def _begin(script: str) -> Callable[[], CompletedProcess[str]]:
    return process.begin(["bash", "-c", script], timeout_s=_TIMEOUT_S, check=False)

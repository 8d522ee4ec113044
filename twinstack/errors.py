"""One tree of errors, each of which reads *object: failure: cause; remedy* on one line.

Every error that this project raises on purpose is a `TwinstackError`; the front door prints it and
exits with its code. Any other that reaches a user is a bug.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

#: The exit codes of all tasks (docs/tasks.md): not as asked; nothing to look at, or it is left
#: open; wrong use. Source of the last: sysexits.h, EX_USAGE.
NOT_SO: Final = 1
NOTHING: Final = 2
WRONG_USE: Final = 64


class TwinstackError(Exception):
    """A failure that a user can act upon."""

    exit_code: ClassVar[int] = NOT_SO

    def __init__(self, obj: str, failure: str, cause: str = "", remedy: str = "") -> None:
        super().__init__(obj, failure, cause, remedy)
        self.obj = obj  # what failed
        self.failure = failure  # what could not be done
        self.cause = cause  # why
        self.remedy = remedy  # what to do

    def __str__(self) -> str:
        text = ": ".join(_one_line(part) for part in (self.obj, self.failure, self.cause) if part)
        return f"{text}; {_one_line(self.remedy)}" if self.remedy else text


class WrongUse(TwinstackError):
    """A value, a name or a file of the user's cannot be; nothing was done."""

    exit_code = WRONG_USE


class TopologyError(WrongUse):
    """The topology as written has mistakes: a line for each, all of them at once.

    `places` are their lines and columns in the file, such as 14:11; without it they have none.
    """

    def __init__(
        self, file: str, mistakes: Sequence[TwinstackError], places: Sequence[str] = ()
    ) -> None:
        first = mistakes[0]
        super().__init__(first.obj, first.failure, first.cause, first.remedy)
        self.file = file
        self.mistakes = tuple(mistakes)
        self.places = tuple(places) or ("",) * len(self.mistakes)

    def __str__(self) -> str:
        lines = [
            f"{self.file}:{place}: {mistake}" if place else f"{self.file}: {mistake}"
            for place, mistake in zip(self.places, self.mistakes, strict=True)
        ]
        count = len(lines)
        if count > 1:
            lines.append(
                f"{self.file}: {count} mistakes: nothing was done; correct them, run again"
            )
        return "\n".join(lines)


class NotOurs(TwinstackError):
    """A foreign object has one of our names but not our mark; it is never changed."""


class Missing(TwinstackError):
    """A precondition is not met: a program, a privilege, a running world."""

    exit_code = NOTHING


class Locked(TwinstackError):
    """Another twinstack command is changing this instance."""


class StepFailed(TwinstackError):
    """The kernel, a program or the engine refused a step."""


class NotHealthy(TwinstackError):
    """A service did not become healthy within its time limit."""


class Unreadable(TwinstackError):
    """A file is of another kind than expected, or is broken from the start."""


class CannotTell(TwinstackError):
    """What was observed does not decide the question; never treated as a yes or a no."""

    exit_code = NOTHING


class SeveralFailed(TwinstackError):
    """More than one failure, where work goes on past errors (tear-down)."""

    def __init__(self, obj: str, failures: Sequence[Exception]) -> None:
        self.failures = tuple(failures)
        super().__init__(obj, f"{len(self.failures)} steps failed")

    def __reduce__(self) -> tuple[type, tuple[str, tuple[Exception, ...]]]:
        """Pickle by its arguments: it may come from a child in another namespace."""
        return type(self), (self.obj, self.failures)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  {failure}" for failure in self.failures)])


def raise_all(obj: str, failures: Sequence[Exception]) -> None:
    """Raise what failed, if anything did: the one failure, or SeveralFailed."""
    if failures:
        raise failures[0] if len(failures) == 1 else SeveralFailed(obj, failures)


def _one_line(text: str) -> str:
    return " ".join(text.split())

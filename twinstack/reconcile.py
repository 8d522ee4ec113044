"""The one engine behind every up, plan and down: desired steps, observed facts, the difference.

A world lists the steps of its plan once, in the order of doing. `diff` keeps those that differ
from the facts, each with its reason. `Preview` is that list as `plan` shows it; `up` takes the same
changes in the same order, each in `run_step`. The first step that fails ends it: what was done
stays, and the next `up` takes the rest. An object that is declared no longer is a change too:
its step is a removal. Tear-down needs no plan: it takes a list of removals with `Teardown`, which
continues past failures and reports them all at the end.

A `Watch` sees each step as it is taken: tests stop a world there, or make the step fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Protocol, TypeVar

from twinstack.errors import StepFailed, TwinstackError, raise_all

#: Receives one line for each thing that happens while something long is under way.
Progress = Callable[[str], None]
#: Turns another library's exception into one of ours; None for one that it does not know.
Translate = Callable[[Exception, str], TwinstackError | None]

FactsT = TypeVar("FactsT", contravariant=True)
ActionT = TypeVar("ActionT", bound="Action", covariant=True)
_StepT = TypeVar("_StepT", bound="Step")  # type: ignore[type-arg]  # any facts


class Action(Protocol):
    """Something to do to one object: a step of a plan, or a removal."""

    @property
    def name(self) -> str:
        """The object, by kind and name; unique in its list."""

    @property
    def commands(self) -> tuple[str, ...]:
        """The shell commands that do the same."""


class Described:
    """Gives an action's name and commands from templates over its fields, `{0.field}`."""

    __slots__ = ()
    NAME: ClassVar[str]
    COMMANDS: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        return self.NAME.format(self)

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(command.format(self) for command in self.COMMANDS)


class Step(Action, Protocol[FactsT]):
    """What must be there for a plan: one object and its settings."""

    def difference(self, facts: FactsT) -> str | None:
        """Say how the object differs from the facts; None when it does not."""


@dataclass(frozen=True, slots=True)
class Change(Generic[ActionT]):
    """An action that is to be taken, and why."""

    step: ActionT
    reason: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What `up` would do now."""

    total: int  # steps that the plan has
    changes: tuple[Change[Action], ...]  # in the order of doing
    unbuilt: tuple[str, ...] = ()  # what must be built before the rest can be known
    refused: str = ""  # why `up` would change nothing, where that is known beforehand


def diff(steps: Iterable[_StepT], facts: object) -> tuple[Change[_StepT], ...]:
    """Keep the steps that differ from the facts, each with its reason."""
    reasons = ((step, step.difference(facts)) for step in steps)
    return tuple(Change(step, reason) for step, reason in reasons if reason is not None)


class Watch(Protocol):
    """Sees each step as it is taken."""

    def before(self, step: str) -> None:
        """Nothing of the step is done yet."""

    def during(self, step: str) -> None:
        """An OSError raised here counts as a failing call of the step's own."""

    def after(self, step: str) -> None:
        """The whole step is done."""


class _Unwatched:
    def before(self, step: str) -> None:
        pass

    during = after = before


#: Watches nothing.
UNWATCHED: Watch = _Unwatched()


@contextmanager
def run_step(
    watch: Watch,
    name: str,
    failure: str = "failed",
    *,
    remedy: str = "",
    translate: Translate | None = None,
) -> Iterator[None]:
    """Take the step that the block does.

    Raises: StepFailed that names the step when a system call in the block fails; what `translate`
    makes of another library's exception. An error of ours passes as it is.
    """
    try:
        watch.before(name)
        watch.during(name)
        yield
        watch.after(name)
    except TwinstackError:
        raise
    except Exception as error:
        ours = translate(error, name) if translate else None
        if ours is None and isinstance(error, OSError):
            ours = StepFailed(name, failure, error.strerror or str(error), remedy)
        if ours is None:
            raise
        raise ours from error


#: Why an `up` removes something.
UNDECLARED = "is declared no longer"


@dataclass(slots=True)
class Teardown:
    """Removals taken one after another; a failure never keeps the rest from going."""

    watch: Watch = UNWATCHED
    remedy: str = ""
    translate: Translate | None = None
    gone: tuple[type[Exception], ...] = ()  # raised for an object that is gone already: no failure
    removed: list[str] = field(default_factory=list)  # names, in the order of removal
    failures: list[Exception] = field(default_factory=list)

    def remove(self, name: str, act: Callable[[], object], *, report: bool = True) -> bool:
        """Remove one object by `act`, in view of the watch; give whether that succeeded.

        `act` returns nothing, False when there was nothing to remove, or the names of what it
        removed. `report`: list `name` as removed.
        """
        return self._attempt(self.watch, name, act, report)

    def tidy(self, name: str, act: Callable[[], object]) -> bool:
        """Do what belongs to no single removal, past failures; as `remove`, but not a step."""
        return self._attempt(UNWATCHED, name, act, report=False)

    def _attempt(self, watch: Watch, name: str, act: Callable[[], object], report: bool) -> bool:
        try:
            with run_step(
                watch, name, "cannot be removed", remedy=self.remedy, translate=self.translate
            ):
                try:
                    done = act()
                except self.gone:
                    done = False
        except Exception as error:
            self.failures.append(error)
            return False
        if isinstance(done, tuple):
            self.removed += done
        elif report and done is not False:
            self.removed.append(name)
        return True

    def finish(self, task: str) -> tuple[str, ...]:
        """Give the names of what was removed. Raises: the one failure, or SeveralFailed."""
        raise_all(task, self.failures)
        return tuple(self.removed)

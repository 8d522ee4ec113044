"""What every task does with what it is given back: print it, or put a failure in one line.

Progress goes to standard error, results to standard output, so that `--json` gives one clean
document. A failure is one line and exit code 1; 2 where a task that checks could not; Ctrl-C 130.
Names and words of others are in much of it, so no control character of theirs reaches a terminal.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from invoke import tasks as invoke_tasks
from invoke.collection import Collection

from front import failures, invocation, tables
from twinstack.errors import CannotTell, Missing
from twinstack.printable import dumps, visible_lines

if TYPE_CHECKING:
    from twinstack.world import ServiceState


SHAPE = {"shape": "flat (one bridge) or tiered (three, the host routes)"}
JSON = {"json": "print one JSON document"}
UP = {
    **SHAPE,
    "timeout": "seconds until every service must be healthy",
    "limits": "--no-limits lifts CPU, memory and pids limits",
    **JSON,
}

BARE = {
    "services": "--no-services brings about the network alone",
    "policy": "--no-policy lets everybody reach everybody",
}

task = functools.partial(invoke_tasks.task, klass=invocation.Task)


def say(line: str) -> None:
    """Show progress."""
    print(visible_lines(line), file=sys.stderr, flush=True)


def show(document: object) -> None:
    """Print a JSON document."""
    print(dumps(document, indent=2))


def answer(json: bool, document: object, text: str) -> None:
    """Print a result in the form that was asked for."""
    if json:
        show(document)
    else:
        print(visible_lines(text))


def guarded(body: Callable[..., None], *, undecided: int = 1) -> Callable[..., None]:
    """Turn errors into one line and an exit code; `undecided` where nothing could be told."""

    @functools.wraps(body)
    def run(*arguments: Any, **words: Any) -> None:
        try:
            body(*arguments, **words)
        except KeyboardInterrupt:
            say("stopped by Ctrl-C")
            sys.exit(130)
        except BrokenPipeError:
            sys.exit(141)
        except Exception as error:
            told = failures.told(error)
            if told is None:  # a bug of ours: its traceback is wanted
                raise
            for note in failures.notes(told):
                say(note)
            say(str(told))
            sys.exit(undecided if isinstance(told, (Missing, CannotTell)) else 1)

    return run


#: For tasks that check: 0 is a pass, 1 a failure, 2 that nothing could be checked.
checking = functools.partial(guarded, undecided=2)


def root(what: str) -> None:
    """Refuse a user who cannot do this. Raises: Missing."""
    if os.geteuid() != 0:
        raise Missing(what, "cannot be done", "this needs root", "run it with sudo")


def end(code: int) -> None:
    """Leave when something failed; else further tasks of the command line follow."""
    if code:
        sys.exit(code)


def show_removed(names: tuple[str, ...], json: bool) -> None:
    """Say what was removed."""
    text = "\n".join(f"removed {name}" for name in names) or "Nothing of ours is here."
    answer(json, {"removed": list(names)}, text)


def show_states(found: Sequence[ServiceState], json: bool) -> None:
    """Show how each service does."""
    answer(json, {"services": tables.states_json(found)}, tables.states(found))


def collection(name: str, tasks: dict[str, Any]) -> Collection:
    """Gather the tasks of one noun."""
    found = Collection(name)
    for word, body in tasks.items():
        found.add_task(body, name=word, default=word == name)
    return found

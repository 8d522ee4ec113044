"""What every task shares: options, results on standard output, failures in one line.

Progress goes to standard error, so that `--json` prints one clean document. A failure is one line
and exit code 1, or 2 if a task that checks could not check; Ctrl-C is 130. Control characters in
names and texts from outside never reach the terminal.
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
    "services": "--no-services creates the network only",
    "policy": "--no-policy lets every service reach every other",
}

task = functools.partial(invoke_tasks.task, klass=invocation.Task)


def say(line: str) -> None:
    """Show progress."""
    print(visible_lines(line), file=sys.stderr, flush=True)


def show(document: object) -> None:
    """Print a JSON document."""
    print(dumps(document, indent=2))


def answer(json: bool, document: object, text: str) -> None:
    """Print a result: the JSON document, or the text."""
    if json:
        show(document)
    else:
        print(visible_lines(text))


def guarded(body: Callable[..., None], *, undecided: int = 1) -> Callable[..., None]:
    """Turn errors into one line and an exit code; `undecided` where nothing could be checked."""

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
            failure = failures.translate(error)
            if failure is None:  # a bug of ours: show its traceback
                raise
            for note in failures.notes(failure):
                say(note)
            say(str(failure))
            sys.exit(undecided if isinstance(failure, (Missing, CannotTell)) else 1)

    return run


#: For tasks that check: 0 is a pass, 1 a failure, 2 that nothing could be checked.
checking = functools.partial(guarded, undecided=2)


def root(what: str) -> None:
    """Refuse a user who cannot do this. Raises: Missing."""
    if os.geteuid() != 0:
        raise Missing(what, "cannot be done", "this needs root", "run it with sudo")


def end(code: int) -> None:
    """Exit unless `code` is 0; then the command line's next task runs."""
    if code:
        sys.exit(code)


def show_removed(names: tuple[str, ...], json: bool) -> None:
    """List what was removed."""
    text = "\n".join(f"removed {name}" for name in names) or "Nothing of ours is here."
    answer(json, {"removed": list(names)}, text)


def show_states(states: Sequence[ServiceState], json: bool) -> None:
    """Show the state of each service."""
    answer(json, {"services": tables.states_json(states)}, tables.states(states))


def collection(name: str, tasks: dict[str, Any]) -> Collection:
    """Gather the tasks of one noun."""
    noun = Collection(name)
    for word, body in tasks.items():
        noun.add_task(body, name=word, default=word == name)
    return noun

"""What every task shares: its declaration, results on standard output, failures in one line.

Progress goes to standard error, so that `--json` prints one clean document. A failure is one line
and its exit code (see `twinstack.errors`); Ctrl-C is 130, a closed pipe 141. Control characters in
names and texts from outside never reach the terminal.
"""

from __future__ import annotations

import functools
import inspect
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from invoke import tasks as invoke_tasks
from invoke.collection import Collection

from front import documents, failures, invocation, tables
from front.options import HELP
from twinstack.errors import NOT_SO
from twinstack.printable import dumps, plain, visible_lines

if TYPE_CHECKING:
    from twinstack.reconcile import Preview
    from twinstack.world import ServiceState


#: Of the JSON documents of all tasks: raised when a key changes its meaning, or goes.
VERSION = 1
#: Where no terminal is nothing is wrapped or cut. Units: columns.
_PIPED, _NARROWEST, _USUAL = 1000, 20, 80


def say(line: str) -> None:
    """Show progress."""
    print(visible_lines(line), file=sys.stderr, flush=True)


def answer(json: bool, document: object, text: str, code: int = 0) -> None:
    """Print a result, and end with its exit code: 0 goes on to the next task of the command line.

    `document` is a dataclass, or a mapping: docs/schemas.py says of which type, for each task.
    """
    show(json, document, text, code)
    end(code)


def show(json: bool, document: object, text: str, code: int = 0) -> None:
    """Print a result: the JSON document, or the text.

    A document is one line where no person reads it: so those of two tasks are JSON Lines.
    """
    if not json:
        shown = visible_lines(text)
        terminal = sys.stdout.isatty()
        print(tables.coloured(shown) if terminal and not os.environ.get("NO_COLOR") else shown)
        broken = max(map(len, shown.splitlines()), default=0)
        if terminal and width() < min(broken, _USUAL):
            say(f"lines are broken: this terminal has {width()} columns, and they up to {broken}")
        return
    print(as_json(document, indent=2 if sys.stdout.isatty() else None, ok=code == 0))


def as_json(document: object, *, indent: int | None = None, **verdict: bool) -> str:
    """Write the running task's document; it begins with its schema, and whether all is as asked."""
    fields = plain(document)
    assert isinstance(fields, dict)
    head = {"schema": f"twinstack/{invocation.running.get()}/{VERSION}", **verdict}
    text = dumps(head | fields, indent=indent)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # escapes for what the output's encoding lacks
        text = dumps(head | fields, indent=indent, ascii_only=True)
    return text


def guarded(body: Callable[..., None]) -> Callable[..., None]:
    """Turn errors into one line and an exit code."""

    @functools.wraps(body)
    def run(*arguments: Any, **words: Any) -> None:
        try:
            try:
                body(*arguments, **words)
            finally:
                sys.stdout.flush()
        except KeyboardInterrupt:
            say("stopped by Ctrl-C")
            sys.exit(130)
        except BrokenPipeError:
            invocation.end_without_reader()
        except Exception as error:
            failure = failures.translate(error)
            if failure is None:  # a bug of ours: show its traceback
                raise
            for note in failures.notes(failure):
                say(note)
            say(str(failure))
            sys.exit(failure.exit_code)

    return run


def task(
    *, help: dict[str, str] | None = None, **options: Any
) -> Callable[[Callable[..., None]], Any]:
    """Declare a task that is guarded; `options` are those of Invoke's own `task`.

    `help` is for the options whose meaning is not the common one.
    """

    def declare(body: Callable[..., None]) -> Any:
        _, *parameters = inspect.signature(body).parameters.values()  # the context is no option
        names = [parameter.name for parameter in parameters]
        required = [each.name for each in parameters if each.default is each.empty]
        # Invoke would give an option the first letter that is free, and -h to --hosts; and take a
        # bare word for an option that may be repeated.
        kind = {
            "klass": invocation.Task,
            "auto_shortflags": False,
            "positional": [name for name in required if name not in options.get("iterable", ())],
        }
        texts = {name: HELP[name] for name in names if name in HELP}
        return invoke_tasks.task(help=texts | (help or {}), **(kind | options))(guarded(body))

    return declare


def end(code: int) -> None:
    """Exit unless `code` is 0: then the next task of the command line runs."""
    if code:
        sys.exit(code)


def show_removed(names: tuple[str, ...], json: bool) -> None:
    """List what was removed."""
    text = "\n".join(f"removed {name}" for name in names) or "Nothing of ours is here."
    answer(json, documents.Removed(names), text)


def show_states(states: Sequence[ServiceState], json: bool, code: int = 0) -> None:
    """Show the state of each service, and end with an exit code."""
    answer(json, documents.Services(tuple(states)), tables.states(states, width()), code)


def show_preview(preview: Preview, json: bool) -> None:
    """Show what `up` would do; exits 1 where it would refuse."""
    code = NOT_SO if preview.refused else 0
    answer(json, documents.planned(preview), tables.preview(preview), code)


def width() -> int:
    """Give the terminal's width; room for any name where none is. Units: columns."""
    return max(shutil.get_terminal_size((_PIPED, 24)).columns, _NARROWEST)


def collection(module: ModuleType) -> Collection:
    """Gather a module's tasks: net_up of front.net is net.up; bench is the default of bench."""
    noun = module.__name__.rpartition(".")[2]
    gathered = Collection(noun)
    for name, member in vars(module).items():
        if isinstance(member, invocation.Task) and name.startswith(noun):
            verb = name.removeprefix(f"{noun}_")
            member.title = noun if name == noun else f"{noun}.{verb}"
            gathered.add_task(member, name=verb, default=name == noun)
    return gathered

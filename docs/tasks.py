"""Write docs/tasks.md, the reference of every task, from the tasks themselves.

`.venv/bin/python -m docs.tasks` writes it; a test fails when it is stale.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from invoke.collection import Collection
from invoke.parser.argument import Argument

import tasks
from front.invocation import Option

PAGE = Path(__file__).with_suffix(".md")
_HEAD = """\
# Tasks

Every task, its options and their defaults. Made from the tasks by `.venv/bin/python -m docs.tasks`;
`invoke --help TASK` prints the same.

![invoke --list net, and the help of net.scale](tasks.svg)

| exit code | of every task |
|---|---|
| 0 | as asked: done, or all that was checked holds |
| 1 | not so: a step failed, a check found something, a bound fails |
| 2 | nothing to look at, or it is left open: no world is up, no root, a program is missing |
| 64 | wrong use: a value, a name or a file cannot be; nothing was done |
| 130 | ended by Ctrl-C; `policy.drops` prints what it has heard first |
| 141 | what was to read the output ended |

Where Ctrl-C is a usual end (`conntrack`, `traffic.capture`, `traffic.report`) the code is that of
the result. The `exec` tasks give their command's own. `-h`, or `--help`, explains a task. A letter
of an option means the same in every task.

**Completion** of tasks, options, services, replicas, worlds and shapes:
`source <(invoke --print-completion-script bash)`; the same with `zsh`, in `~/.zshrc` after
`compinit` (`autoload -Uz compinit; compinit`); for fish
`invoke --print-completion-script fish | source`. Tests type into all three.

**Width.** On a terminal a table is as wide as that: it wraps its last column, then leaves columns
out, and says which. In a pipe nothing is wrapped or cut, unless COLUMNS asks for it.

**JSON.** With `--json` a task prints one document. It begins with `schema` ("twinstack", the task
and a version, between slashes) and `ok`: whether the exit code is 0. [schemas/](schemas/) has the
JSON Schema of each, made from the types that are printed by `.venv/bin/python -m
docs.json_schemas`; the version is raised when a key changes its meaning, or goes. A list of hosts
is `hosts`, of worlds `worlds`, of replicas' states `services`. Where no terminal reads it, a
document is one line, so several tasks in one call give JSON Lines.

"""


def reference() -> str:
    """Give the page's text: the tasks without a noun first, then each noun's."""
    root: Collection = tasks.namespace
    parts = [_section("Everything", list(_rows(root, "")))]
    for noun, collection in sorted(root.collections.items()):
        parts.append(_section(noun, list(_rows(collection, noun))))
    return _HEAD + "\n".join(parts)


def _rows(collection: Collection, noun: str) -> Iterator[tuple[str, str, list[Argument]]]:
    for name, task in sorted(collection.tasks.items()):
        full = f"{noun}.{name}" if noun and name != noun else name
        yield full, " ".join((task.__doc__ or "").split()), task.get_arguments()


def _section(title: str, rows: list[tuple[str, str, list[Argument]]]) -> str:
    lines = [f"## {title}", ""]
    for name, does, arguments in rows:
        words = [each.word for each in arguments if isinstance(each, Option) and each.positional]
        lines += [f"### `{' '.join([name, *words])}`", "", does, ""]
        options = [
            textwrap.fill(
                f"- `{_flag(argument)}`: {argument.help or 'no description'}",
                width=100,
                subsequent_indent="  ",
            )
            for argument in arguments
        ]
        lines += [*options, ""] if options else []
    return "\n".join(lines)


def _flag(argument: Argument) -> str:
    name = str(argument.name).strip("_").replace("_", "-")  # from_ is --from
    letters = "".join(f", -{letter}" for letter in argument.names[1:])
    if argument.positional and isinstance(argument, Option):
        return argument.word
    if argument.kind is bool:
        return f"--no-{name}" if argument.default is True else f"--{name}{letters}"
    return f"--{name} {argument.kind.__name__.upper()}{letters}"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")

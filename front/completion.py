"""What the shell may complete a value to: services, worlds, shapes. Invoke completes the rest.

The shell filters by what is typed so far, and hands over words without the blank after the last:
whether that one is finished is read from whether it is a value that can be.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

Values = Sequence[str]

_SHAPES = ("flat", "tiered")
#: The values of options that have a few: the default says whether a task takes both worlds.
_FEW: dict[str, Values] = {
    "aa": ("net", "docker"),
    "format": ("text", "svg", "mermaid", "json"),
    "how": ("rolling", "blue-green", "canary"),
    "shape": _SHAPES,
    "verdict": ("allowed", "dropped"),
}
_WORLDS = {
    "net": ("net", "docker"),
    "both": ("net", "docker", "both"),
    "": ("net", "docker", "overlay"),
}


def values(task: str, argument: Argument, topology: Path) -> Values:
    """Give what an option, or a positional argument, of a task can be; nothing: ask the shell."""
    from twinstack.model.outline import replica_names

    name = str(argument.name)
    if name == "world":
        default = getattr(argument, "left_out", None) or argument.default or ""
        return _WORLDS.get(str(default), ())
    if name == "service":
        found = replica_names(topology)
        return [f"{each}=" for each in found] if task.endswith(".scale") else found
    if task == "flows" and name in {"from_", "to"}:
        return (*replica_names(topology), "host", "outside")
    if name == "host":
        return [f"host-{number}" for number in (1, 2, 3)]
    return _FEW.get(name, ())


def asked(words: Sequence[str], context: ParserContext) -> Iterator[Argument]:
    """Give the arguments that the last of a task's words may be a value of, the likelier first."""
    left = list(context.positional_args)
    flag: Argument | None = None
    for index, word in enumerate(words):
        last = index == len(words) - 1
        if flag is not None:
            if last:
                yield flag
            flag = None
        elif word.startswith("-"):
            if word in context.flags and context.flags[word].takes_value:  # .get knows no letters
                flag = context.flags[word]
        elif left:
            argument = left[0] if left[0].kind is list else left.pop(0)  # a list takes any number
            if last:
                yield argument
    if flag is not None:
        yield flag
    elif left and not (words and words[-1].startswith("-")):
        yield left[0]


def candidates(
    line: str, contexts: dict[str, ParserContext], topology: Callable[[], Path]
) -> Values:
    """Give the values for the end of a command line; nothing: it is no value that we know."""
    try:
        words = shlex.split(line)
    except ValueError:  # an open quote
        return ()
    tasks = [index for index, word in enumerate(words) if word in contexts]
    if not tasks:
        return ()
    task, given = words[tasks[-1]], words[tasks[-1] + 1 :]
    for argument in asked(given, contexts[task]):
        found = values(task, argument, topology())
        finished = bool(given) and given[-1] in found and argument.positional
        if found and not (finished and argument.kind is not list):
            return found
    return ()


def complete(upstream: Callable[..., Any], **words: Any) -> None:
    """Print candidates as Invoke's own `complete`, which is asked where none is known here."""
    from twinstack import stack

    known = words["parser"].contexts
    line = words["core"].remainder
    found = candidates(line, known, lambda: stack.from_environment().topology_file)
    if not found:
        upstream(**words)
    print("\n".join(found))
    raise Exit

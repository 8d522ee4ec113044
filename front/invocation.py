"""How a task is called: its arguments, with clear errors where Invoke has none, and its PATH."""

from __future__ import annotations

import io
import os
import sys
from contextvars import ContextVar
from typing import Any, NoReturn

from invoke import program, tasks
from invoke.completion import complete as completion
from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.parser.parser import ParseMachine
from invoke.program import Program

from front import listing
from twinstack.errors import WRONG_USE, WrongUse

#: Where ip, iptables, nginx and dockerd are; missing in a user's and in cron's PATH.
_SYSTEM_PATHS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def full_path(path: str) -> str:
    """Give a PATH that includes the system's programs."""
    entries = [entry for entry in path.split(os.pathsep) if entry]
    return os.pathsep.join(dict.fromkeys([*entries, *_SYSTEM_PATHS]))


def spare_encodings() -> None:
    """Have both outputs show "?" for a character that their encoding lacks, as ASCII lacks "→"."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else a test's own
            stream.reconfigure(errors="replace")


#: The options that have a letter: it means the same in every task. -h is help.
LETTERS = {
    "follow": "f",
    "json": "j",
    "lines": "n",
    "minutes": "m",
    "seconds": "s",
    "timeout": "t",
    "world": "w",
}


class Option(Argument):
    """An option whose wrong value is one line; a positional argument may have a default."""

    def __init__(self, *, default: Any = None, positional: bool = False, **words: Any) -> None:
        super().__init__(default=None if positional else default, positional=positional, **words)
        self.left_out = default if positional else None

    @property
    def word(self) -> str:
        """Give a positional argument as its usage shows it; a list takes any number of words."""
        word = str(self.name).strip("_").replace("_", "-").upper()
        if self.kind is list:
            return f"[{word} …]"
        return word if self.left_out is None else f"[{word}]"

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take a value. Raises: ParseError, which is printed."""
        try:
            super().set_value(value, cast=cast)
        except ValueError:
            cause = f"it is a {'number' if self.kind is float else 'whole number'}; choose another"
            raise ParseError(f"--{self.name}: cannot be {value}: {cause}") from None

    def complete(self) -> None:
        """Give it its letter, and its default in its help."""
        self.names = (*self.names, *LETTERS.get(str(self.name), ""))
        default = self.left_out if self.positional else self.default
        is_value = isinstance(default, (str, int, float)) and self.kind is not bool
        if self.help and is_value and default != "":
            self.help += f" (default: {default})"

    def settle(self, otherwise: str | None = None) -> None:
        """Set the default, else `otherwise`, if no argument was given."""
        given = otherwise if self.left_out is None else self.left_out
        if self.value is None and given is not None:
            self.set_value(given, cast=False)


_complete_context, _handle = ParseMachine.complete_context, ParseMachine.handle
_parse_tasks, _print_task_help = Program.parse_tasks, Program.print_task_help
_completed, _make_pairs = completion.complete, Program._make_pairs
_parse_cleanup = Program.parse_cleanup


def _settle(machine: ParseMachine, otherwise: str | None = None) -> None:
    for argument in machine.context.positional_args if machine.context else ():
        if isinstance(argument, Option):
            argument.settle(otherwise)


def _takes(machine: ParseMachine, word: str) -> bool:
    """Give a word to an argument that takes any number of them; the name of a task is none."""
    if machine.context is None or word.startswith("-") or word in machine.contexts:
        return False
    flag = machine.flag
    if machine.waiting_for_flag_value and flag is not None and not flag.optional:
        return False
    for argument in machine.context.positional_args:
        if argument.value is None:  # one word is missing, and it comes first
            return False
        if argument.kind is list:
            if machine.waiting_for_flag_value:  # --ssh [OPTIONS] SERVICE
                raise ParseError(f"{word!r} is ambiguous when given after an optional-value flag")
            argument.value = word
            return True
    return False


def _settle_then_complete(machine: ParseMachine) -> None:
    _settle(machine)
    _complete_context(machine)


def _handle_token(machine: ParseMachine, token: str) -> None:
    # Invoke would take one of its own flags (--help), or an unknown one, for the positional
    # argument. With either the task does not run, so a required argument may be anything.
    known = machine.context is not None and token in machine.context.flags
    if token.startswith("-") and not known and not machine.waiting_for_flag_value:
        _settle(machine, otherwise="")
    if not _takes(machine, token):
        _handle(machine, token)


class _Usage(str):
    """A task's name, which its usage shows with its positional arguments."""

    words: tuple[str, ...] = ()

    def __format__(self, spec: str) -> str:
        return " ".join((self, *self.words))


def _print_task_help_with_words(program: Program, name: str) -> None:
    usage = _Usage(name)
    arguments = program.parser.contexts[name].positional_args
    usage.words = tuple(each.word for each in arguments if isinstance(each, Option))
    _print_task_help(program, usage)


def _parse_tasks_or_exit(program: Program) -> None:
    words = listing.present(program.core.unparsed, lambda line: print(line, file=sys.stderr))
    program.core.unparsed = words
    try:
        _parse_tasks(program)
    except ParseError as error:  # Invoke's own code for it says "not as asked"
        raise Exit(str(error), code=WRONG_USE) from None


def _list_everyday_tasks(running: Program, coll: Any, ancestors: Any = None) -> list[listing.Row]:
    rows = _make_pairs(running, coll, ancestors)
    whole = ancestors or running.list_root or running.list_format != "flat"
    return rows if whole else listing.everyday(rows)


def _end_quietly(running: Program) -> None:
    try:  # lists and helps are printed here
        try:
            _parse_cleanup(running)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        end_without_reader()


def end_without_reader() -> NoReturn:
    """Exit as programs do when what was to read their output has ended: 128 + SIGPIPE."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more
    sys.exit(141)


def _complete(**words: Any) -> None:
    from front import completion as values  # only then

    values.complete(_completed, **words)


# For Invoke a positional argument is required or, with a default, never read. So ours have none
# while arguments are read, and get it where Invoke would report a missing one.
tasks.Argument = Option  # type: ignore[attr-defined, assignment]
ParseMachine.complete_context = _settle_then_complete  # type: ignore[method-assign, assignment]
ParseMachine.handle = _handle_token  # type: ignore[method-assign, assignment]
Program.print_task_help = _print_task_help_with_words  # type: ignore[method-assign, assignment]
Program.parse_tasks = _parse_tasks_or_exit  # type: ignore[method-assign, assignment]
Program._make_pairs = _list_everyday_tasks  # type: ignore[method-assign, assignment]
Program.parse_cleanup = _end_quietly  # type: ignore[method-assign, assignment]
program.complete = _complete  # type: ignore[attr-defined, assignment]


#: The task that runs: "net.status".
running: ContextVar[str] = ContextVar("running", default="")


class Task(tasks.Task[Any]):
    """A task with these options."""

    title = ""  # "net.status"

    def __call__(self, *arguments: Any, **words: Any) -> Any:
        """Run it, and remember meanwhile which it is."""
        running.set(self.title or self.name)
        return super().__call__(*arguments, **words)

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Give the options of the task's signature, each with its help, which Invoke uses up."""
        texts = dict(self.help)
        try:
            arguments = super().get_arguments(ignore_unknown_help)
        finally:
            self.help = texts
        for argument in arguments:
            if self.body.__annotations__.get(str(argument.name)) == "int | None":
                argument.kind = int  # Invoke takes the kind of the default
            if isinstance(argument, Option):
                argument.complete()
        return arguments


def after_dashes() -> list[str]:
    """Give the arguments after `--`, one by one: Invoke joins them with blanks."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def command_after_dashes(task: str) -> list[str]:
    """Give the arguments after `--`. Raises: WrongUse when there are none."""
    words = after_dashes()
    if not words:
        remedy = f"run: invoke {task} SERVICE -- COMMAND"
        raise WrongUse(task, "has nothing to run", "no command is given", remedy)
    return words

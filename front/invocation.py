"""How a task is called: its words, as Invoke reads them but for wrong ones, and its PATH."""

from __future__ import annotations

import os
import sys
from typing import Any

from invoke import tasks
from invoke.exceptions import ParseError
from invoke.parser.argument import Argument
from invoke.parser.parser import ParseMachine

from twinstack.errors import TwinstackError

#: Where ip, iptables, nginx and dockerd lie; a plain user's PATH, and cron's, lack them.
_SYSTEM_PATHS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def full_path(path: str) -> str:
    """Give a PATH that leads to the system's programs too."""
    there = [one for one in path.split(os.pathsep) if one]
    return os.pathsep.join([*there, *(one for one in _SYSTEM_PATHS if one not in there)])


class Option(Argument):
    """An option whose wrong value is one line, not a traceback; a bare word may have a default."""

    #: What a bare word is when it is left out.
    left_out: Any = None

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take a value. Raises: ParseError, which Invoke prints before it exits 1."""
        try:
            super().set_value(value, cast=cast)
        except ValueError:
            raise ParseError(
                f"--{self.name}: cannot be {value}: it is a whole number; choose another"
            ) from None

    def settle(self, otherwise: str | None = None) -> None:
        """Take the default, or what else there is, as no word came."""
        given = otherwise if self.left_out is None else self.left_out
        if self.value is None and given is not None:
            self.set_value(given, cast=False)


_complete_context, _handle = ParseMachine.complete_context, ParseMachine.handle


def _settle(machine: ParseMachine, otherwise: str | None = None) -> None:
    for one in machine.context.positional_args if machine.context else ():
        if isinstance(one, Option):
            one.settle(otherwise)


def _settle_then_complete(machine: ParseMachine) -> None:
    _settle(machine)
    _complete_context(machine)


def _handle_what_is_no_word(machine: ParseMachine, token: str) -> None:
    # A flag of Invoke's own (--help), or one that nobody has, would be taken for the bare word.
    # With either the task does not run, so that a required one may be anything.
    known = machine.context is not None and token in machine.context.flags
    if token.startswith("-") and not known and not machine.waiting_for_flag_value:
        _settle(machine, otherwise="")
    _handle(machine, token)


# For Invoke a bare word is either required or, having a default, never read. So ours have none
# while words are read, and get it where Invoke would say that one is missing.
ParseMachine.complete_context = _settle_then_complete  # type: ignore[method-assign, assignment]
ParseMachine.handle = _handle_what_is_no_word  # type: ignore[method-assign, assignment]


class Task(tasks.Task[Any]):
    """A task with such options."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Give the options of the task's signature."""
        return [_option(one) for one in super().get_arguments(ignore_unknown_help)]


def _option(one: Argument) -> Option:
    found = Option(
        names=one.names,
        kind=one.kind,
        default=None if one.positional else one.default,
        help=one.help,
        positional=one.positional,
        optional=one.optional,
        incrementable=one.incrementable,
        attr_name=one.attr_name,
    )
    if one.positional:
        found.left_out = one.default
    return found


def after_dashes() -> list[str]:
    """Give the words behind `--`."""
    # Invoke joins the words after -- with blanks; their borders are still in argv.
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def command_after_dashes(task: str) -> list[str]:
    """Give the words behind `--`. Raises: TwinstackError when there are none."""
    words = after_dashes()
    if not words:
        raise TwinstackError(
            task,
            "has nothing to run",
            "no command is given",
            f"say invoke {task} SERVICE -- COMMAND",
        )
    return words

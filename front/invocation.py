"""How a task is called: its words, as Invoke reads them but for wrong ones, and its PATH."""

from __future__ import annotations

import os
import sys
from typing import Any

from invoke import tasks
from invoke.exceptions import ParseError
from invoke.parser.argument import Argument

from twinstack.errors import TwinstackError

#: Where ip, iptables, nginx and dockerd lie; a plain user's PATH, and cron's, lack them.
_SYSTEM_PATHS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def full_path(path: str) -> str:
    """Give a PATH that leads to the system's programs too."""
    there = [one for one in path.split(os.pathsep) if one]
    return os.pathsep.join([*there, *(one for one in _SYSTEM_PATHS if one not in there)])


class Option(Argument):
    """An option whose wrong value is one line, not a traceback."""

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take a value. Raises: ParseError, which Invoke prints before it exits 1."""
        try:
            super().set_value(value, cast=cast)
        except ValueError:
            raise ParseError(
                f"--{self.name}: cannot be {value}: it is a whole number; choose another"
            ) from None


class Task(tasks.Task[Any]):
    """A task with such options."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Give the options of the task's signature."""
        return [
            Option(
                names=one.names, kind=one.kind, default=one.default, help=one.help,
                positional=one.positional, optional=one.optional,
                incrementable=one.incrementable, attr_name=one.attr_name,
            )
            for one in super().get_arguments(ignore_unknown_help)
        ]  # fmt: skip


def after_dashes() -> list[str]:
    """Give the words behind `--`."""
    # Invoke joins the words after -- with blanks; their borders are still in argv.
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def command_after_dashes(task: str) -> list[str]:
    """Give the words behind `--`. Raises: TwinstackError when there are none."""
    words = after_dashes()
    if not words:
        raise TwinstackError(
            task, "has nothing to run", "no command is given",
            f"say invoke {task} SERVICE -- COMMAND",
        )  # fmt: skip
    return words

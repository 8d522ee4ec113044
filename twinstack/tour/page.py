"""Lay a screen of the tour out for a terminal: plain text, without escapes. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from twinstack.printable import counted

#: Sentences are not set wider than this. Units: columns.
_WIDEST = 80
#: A screen's output gets at least so many rows, however low the terminal is.
_LEAST_ROWS = 5
#: Of the screen: the line that asks to go on, and one for the cursor.
_SPARED_ROWS = 2


def head(number: int, count: int, title: str, text: str, columns: int) -> list[str]:
    """Write what stands above a screen's commands. Units: columns of the terminal."""
    width = min(columns, _WIDEST)
    titled = f"-- {number} of {count}: {title} "
    return ["", titled.ljust(width, "-"), *textwrap.wrap(text, width, break_on_hyphens=False), ""]


def typed(command: str) -> list[str]:
    """Write a command as bash shows it when it is typed."""
    first, *more = command.split("\n")
    return [f"$ {first}", *(f"> {line}" for line in more)]


def rows(lines: Iterable[str], columns: int) -> int:
    """Count the rows that lines take on a terminal, which breaks those that are longer."""
    return sum(max(1, -(-len(line.expandtabs()) // columns)) for line in lines)


@dataclass(slots=True)
class OutputRoom:
    """What is left of a screen for the output of its commands.

    Units: rows and columns of the terminal.
    """

    left: int
    columns: int
    hidden: int = 0  # lines that found no room

    def takes(self, line: str) -> bool:
        """Tell whether a line is to be shown; once one was not, none is."""
        needed = rows([line], self.columns)
        if self.hidden or needed > self.left:
            self.hidden += 1
            return False
        self.left -= needed
        return True

    def rest(self) -> list[str]:
        """Say how much of a command's output was not shown; the next command may show again."""
        hidden, self.hidden = self.hidden, 0
        return [f"... and {counted(hidden, 'more line')}"] if hidden else []


def room(written: Iterable[str], columns: int, height: int) -> OutputRoom:
    """Give what a screen has for output beside what is written on it, the commands included."""
    left = height - rows(written, columns) - _SPARED_ROWS
    return OutputRoom(max(left, _LEAST_ROWS), columns)

"""What the doctor reports: one line a check, as a table or as JSON. Pure."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from enum import StrEnum

_LEAST_WRAPPED = 16  # columns


class CheckState(StrEnum):
    """The state of what was checked; `UNKNOWN` counts as neither good nor bad."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked."""

    name: str
    state: CheckState
    found: str
    remedy: str = ""  # the command that fixes it


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """All checks, in the order in which to fix them."""

    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        """Give 1 when something fails, else 2 when something could not be checked, else 0."""
        states = {check.state for check in self.checks}
        if CheckState.FAIL in states:
            return 1
        return 2 if CheckState.UNKNOWN in states or not states else 0

    def table(self, width: int | None = None) -> str:
        """Give the checks as aligned columns, each remedy on a line below its check.

        What was found is wrapped, a remedy never: it is copied. Units: columns of the terminal.
        """
        names = max((len(check.name) for check in self.checks), default=0)
        indent = " " * (7 + 2 + names + 2)
        room = None if width is None else max(width - len(indent), _LEAST_WRAPPED)
        lines = []
        for check in self.checks:
            head = f"{check.state:<7}  {check.name:<{names}}  "
            parts = [check.found] if room is None else textwrap.wrap(check.found, room)
            first, *more = parts or [""]
            lines += [f"{head}{first}".rstrip(), *(f"{indent}{part}" for part in more)]
            if check.remedy:
                lines.append(f"{indent}→ {check.remedy}")
        states = [check.state for check in self.checks]
        counts = (f"{states.count(state)} {state}" for state in CheckState if state in states)
        return "\n".join([*lines, ", ".join(counts)])

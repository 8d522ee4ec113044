"""The outcome of an examination: one line a check, as a table or as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What a check found; `UNKNOWN` is never taken for either answer."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `remedy` is the command that mends it, empty when nothing is to do."""

    name: str
    state: State
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All checks, in the order in which one would mend them."""

    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        """Give 1 when something fails, else 2 when something could not be checked, else 0."""
        states = {check.state for check in self.checks}
        if State.FAIL in states:
            return 1
        return 2 if State.UNKNOWN in states or not states else 0

    def table(self) -> str:
        """Give the checks as aligned columns, each remedy on a line below its check."""
        width = max((len(check.name) for check in self.checks), default=0)
        lines = []
        for check in self.checks:
            lines.append(f"{check.state:<7}  {check.name:<{width}}  {check.found}")
            if check.remedy:
                lines.append(f"{'':<7}  {'':<{width}}  → {check.remedy}")
        count = {state: sum(check.state is state for check in self.checks) for state in State}
        lines.append(", ".join(f"{number} {state}" for state, number in count.items() if number))
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        """Give one JSON document with stable keys."""
        return {
            "exit_code": self.exit_code,
            "checks": [
                {
                    "name": check.name,
                    "state": str(check.state),
                    "found": check.found,
                    "remedy": check.remedy,
                }
                for check in self.checks
            ],
        }

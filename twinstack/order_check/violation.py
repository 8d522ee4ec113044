"""A violation of what the stack promises; pure."""

from __future__ import annotations

from dataclasses import dataclass

from twinstack.order_check.history import Operation

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Violation:
    """What is not as promised, and what shows it."""

    rule: str
    what: str
    evidence: tuple[Operation, ...] = ()

    def __str__(self) -> str:
        lines = map(str, self.evidence[:_SHOWN])
        return "\n    ".join((f"{self.rule}: {self.what}", *lines))


def shown_by(rule: str, what: str, *operations: Operation) -> Violation:
    """Make a violation that operations show."""
    return Violation(rule, what, operations)

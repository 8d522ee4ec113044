"""What was promised, and a violation of it; pure."""

from __future__ import annotations

from dataclasses import dataclass

from twinstack.order_check.history import Operation


@dataclass(frozen=True, slots=True)
class Promises:
    """What the stack promises beyond correctness. Units: seconds."""

    stale_s: float = 30.0  # how old a cached response may be after a fault (CACHE_TTL_S)
    carts_survive: bool = True  # a kill of Redis loses no cart


#: What docs/orders.md says.
PROMISED = Promises()


@dataclass(frozen=True, slots=True)
class Violation:
    """What is not as promised, and what shows it."""

    rule: str
    what: str
    evidence: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n    ".join((f"{self.rule}: {self.what}", *self.evidence))


def shown_by(rule: str, what: str, *operations: Operation) -> Violation:
    """Make a violation that operations show."""
    return Violation(rule, what, tuple(str(each) for each in operations[:12]))

"""What a history comes to: counts, violations and recoveries, as text and as a document; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from twinstack.order_check.history import History
from twinstack.order_check.judge import counts, judge
from twinstack.order_check.recovery import Recovery, recoveries
from twinstack.order_check.violation import Violation

_SHOWN = 10
_COUNTS = """{faults} faults; {acknowledged} acknowledged, {refused} refused, {stored} stored;
{unknown_outcomes} requests without a definite answer"""
_NAMED = ("lost", "duplicate", "unexpected")


@dataclass(frozen=True, slots=True)
class OrderReport:
    """The judgement of one history."""

    world: str
    seed: int
    seconds: float
    counts: dict[str, int]
    violations: tuple[Violation, ...]
    recoveries: tuple[Recovery, ...]

    @property
    def by_rule(self) -> dict[str, int]:
        """Count the violations of each rule."""
        return dict(Counter(violation.rule for violation in self.violations))

    @property
    def slow(self) -> tuple[Recovery, ...]:
        """Give the recoveries that took longer than they may."""
        return tuple(each for each in self.recoveries if each.is_slow)

    @property
    def longest_s(self) -> dict[str, float]:
        """Give the longest recovery by what struck, and for a store's apart."""
        longest: dict[str, float] = {}
        for each in self.recoveries:
            for struck in each.struck:
                name = f"{struck.fault} of a store" if each.has_store else struck.fault
                longest[name] = max(longest.get(name, 0.0), round(each.seconds, 3))
        return dict(sorted(longest.items()))

    @property
    def passed(self) -> bool:
        return not self.violations and not self.slow

    def document(self) -> dict[str, object]:
        """Give the report for a program. Units: seconds."""
        rules = self.by_rule
        return {
            "world": self.world,
            "seed": self.seed,
            "seconds": self.seconds,
            **self.counts,
            "lost": rules.get("lost", 0),
            "duplicate": rules.get("duplicate", 0),
            "unexpected": rules.get("unexpected", 0),
            "violations": rules,
            "shown": [str(violation) for violation in self.violations[:_SHOWN]],
            "longest_recovery_s": self.longest_s,
            "slow": [_sentence(each) for each in self.slow],
            "passed": self.passed,
        }

    def text(self) -> str:
        """Give the report for a person."""
        number, rules = self.counts, self.by_rule
        sent = f"{number['keyed_orders']} keyed orders and {number['operations']} requests"
        found = {rule: rules.get(rule, 0) for rule in _NAMED}
        found["others"] = len(self.violations) - sum(found.values())
        lines = [
            f"{self.world}, seed {self.seed}: {sent} in {self.seconds:.0f} s",
            _COUNTS.format_map(number),
            ", ".join(f"{rule} {count}" for rule, count in found.items()),
        ]
        if self.recoveries:
            each = (f"{name} {seconds:.2f} s" for name, seconds in self.longest_s.items())
            lines.append(f"full service after at most: {', '.join(each)}")
        lines += [f"slow: {_sentence(each)}" for each in self.slow]
        return "\n".join((*lines, *map(str, self.violations[:_SHOWN])))


def report(history: History) -> OrderReport:
    """Judge a history."""
    return OrderReport(
        history.world,
        history.seed,
        history.seconds,
        counts(history),
        tuple(judge(history)),
        tuple(recoveries(history.operations, history.struck)),
    )


def _sentence(recovery: Recovery) -> str:
    what = ", ".join(map(str, recovery.struck))
    how_long = f"{recovery.failed} failures, the last {recovery.seconds:.2f} s after"
    return f"{what}: {how_long}: {recovery.last}"

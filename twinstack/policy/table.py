"""What `policy.verify` found: both answers to each question, and rules that differ. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from twinstack.linux.iptables import Hook
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.policy.model import HOST, OUTSIDE, Cell
from twinstack.policy.trace import packet_of, trace


@dataclass(frozen=True, slots=True)
class Answer:
    """A cell as it was found; `said` is `open` or in which way it was closed.

    `behind` names, for a wrong one, the rule or the missing rule that makes it so.
    """

    cell: Cell
    said: str
    behind: str = ""

    @property
    def open(self) -> bool:
        return self.said == "open"

    @property
    def wrong(self) -> bool:
        return self.open != self.cell.open


@dataclass(frozen=True, slots=True)
class RuleFault:
    """A rule that the plan wants and that is not there (or there, and not wanted)."""

    chain: str
    rule: str
    missing: bool

    def __str__(self) -> str:
        return f"{'missing' if self.missing else 'not ours to expect'}: {self.rule}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole: every answer, every rule that differs, and every bridge that filters nothing."""

    world: WorldName
    shape: str
    answers: tuple[Answer, ...]
    rules: int
    faults: tuple[RuleFault, ...]
    unfiltered: tuple[str, ...]
    seconds: float

    @property
    def wrong(self) -> tuple[Answer, ...]:
        return tuple(one for one in self.answers if one.wrong)

    @property
    def passed(self) -> bool:
        return not (self.wrong or self.faults or self.unfiltered)


def rule_faults(wanted: Sequence[Hook], present: tuple[str, ...]) -> Iterator[RuleFault]:
    """Compare the wanted chains with a table's lines, rule by rule, order and jumps included."""
    for hook in wanted:
        start = f"-A {hook.chain} "
        there = [line for line in present if line.startswith(start)]
        faults = [RuleFault(hook.chain, one, True) for one in hook.lines if one not in there]
        faults += [RuleFault(hook.chain, one, False) for one in there if one not in hook.lines]
        if not faults and tuple(there) != hook.lines:
            faults.append(RuleFault(hook.chain, f"{hook.chain}: in another order, or twice", False))
        if hook.jump and hook.jump not in present:
            faults.append(RuleFault(hook.chain, hook.jump, True))
        if not hook.jump and not any(f":{hook.chain} " in line for line in present) and not faults:
            faults.append(RuleFault(hook.chain, f"chain {hook.chain}", True))
        yield from faults


def reason(
    cell: Cell,
    said: str,
    plan: Plan,
    world: WorldName,
    wanted: Sequence[Hook],
    present: tuple[str, ...],
    unfiltered: Sequence[str],
) -> str:
    """Name the rule, or the missing rule, behind a wrong answer.

    The packet is followed through the rules that are there and through those that should be; where
    both lead to the same end, no rule explains it, and that is said.
    """
    packet = packet_of(cell, plan, world)
    if packet is None:
        return f"IPv6 is on between {cell.source} and {cell.destination}"
    if unfiltered and said == "open":
        return f"frames on {', '.join(unfiltered)} pass no iptables (nf_call_iptables is 0)"
    should = trace(_lines(wanted, present), packet)
    found = trace(present, packet)
    if found.rule != should.rule:
        missing = f"missing: {should.rule}" if should.rule not in present else ""
        decided = f"decided by {found.rule or f'the policy of {packet.hook}, {found.verdict}'}"
        return "; ".join(one for one in (missing, decided) if one)
    faults = list(rule_faults(wanted, present))
    if faults:
        return str(faults[0])
    return "no rule of iptables's filter table explains it"


def _lines(wanted: Sequence[Hook], present: tuple[str, ...]) -> tuple[str, ...]:
    """Give the lines as they should be: ours first, then what others have."""
    own = {hook.chain for hook in wanted}
    jumps = [hook.jump for hook in wanted if hook.jump]
    mine = [line for hook in wanted for line in hook.lines]
    others = [
        line
        for line in present
        if not (line.startswith("-A ") and (line.split()[1] in own or line in jumps))
    ]
    return (
        *(one for one in others if one.startswith(":")),
        *jumps,
        *mine,
        *(one for one in others if not one.startswith(":")),
    )


def grid(verdict: Verdict, plan: Plan, *, expected: bool) -> str:
    """Draw who reaches whom: a port, or how many of them; `.` for nothing; `!` for a wrong cell."""
    names = [*(replica.name for replica in plan.replicas), HOST, OUTSIDE]
    rows = {name: str(number) for number, name in enumerate(names, 1)}
    found: dict[tuple[str, str], list[Answer]] = {}
    for one in verdict.answers:
        found.setdefault((one.cell.source, one.cell.destination), []).append(one)
    width = max(len(name) for name in names)
    lines = [f"{'':>3} {'':<{width}} " + " ".join(f"{rows[name]:>5}" for name in names)]
    for source in names:
        row = [
            _square(found.get((source, destination)), expected=expected) for destination in names
        ]
        lines.append(f"{rows[source]:>3} {source:<{width}} " + " ".join(f"{one:>5}" for one in row))
    return "\n".join(line.rstrip() for line in lines)


def _square(answers: list[Answer] | None, *, expected: bool) -> str:
    if answers is None:
        return ""
    open_ = [one for one in answers if (one.cell.open if expected else one.open)]
    mark = "!" if not expected and any(one.wrong for one in answers) else ""
    if not open_:
        return f"{mark}."
    targets = {one.cell.target for one in open_}
    if len(targets) == 1 and open_[0].cell.protocol == "tcp":
        return f"{mark}{open_[0].cell.port}"
    return f"{mark}{len(targets)}×"


def text(verdict: Verdict, plan: Plan) -> str:
    """Write the whole: both grids, counts, the wrong cells and the rules behind them."""
    denied = sum(not one.cell.open for one in verdict.answers)
    counts = (
        f"\n{len(verdict.answers)} cells asked in {verdict.seconds:.1f} s: "
        f"{len(verdict.answers) - denied} to be open, {denied} to be closed, "
        f"{len(verdict.wrong)} wrong."
    )
    parts = [
        f"expected ({verdict.world}, {verdict.shape}): from a row to a column; a port, or n×",
        grid(verdict, plan, expected=True),
        "\nobserved",
        grid(verdict, plan, expected=False),
        counts,
        f"{verdict.rules} rules compared: {len(verdict.faults)} differ.",
    ]
    parts += [f"! bridge {one}: its frames pass no iptables" for one in verdict.unfiltered]
    parts += [f"! rule {one}" for one in verdict.faults]
    for one in verdict.wrong:
        cell = one.cell
        parts.append(
            f"! {cell.source} → {cell.destination} {cell.target}"
            f"{f' at {cell.address}' if cell.address else ''}: "
            f"{one.said}, expected {'open' if cell.open else 'closed'} ({cell.why}); {one.behind}"
        )
    return "\n".join(parts)


def document(verdict: Verdict) -> dict[str, object]:
    """Give the whole as JSON's words."""
    return {
        "world": verdict.world,
        "shape": verdict.shape,
        "passed": verdict.passed,
        "seconds": round(verdict.seconds, 3),
        "cells": len(verdict.answers),
        "wrong": [_told(one) for one in verdict.wrong],
        "rules": verdict.rules,
        "rule_faults": [asdict(one) for one in verdict.faults],
        "unfiltered_bridges": list(verdict.unfiltered),
        "answers": [_told(one) for one in verdict.answers],
    }


def _told(one: Answer) -> dict[str, object]:
    cell = one.cell
    return {
        "source": cell.source,
        "destination": cell.destination,
        "address": cell.address,
        "protocol": cell.protocol,
        "port": cell.port,
        "expected": cell.open,
        "observed": one.open,
        "said": one.said,
        "why": cell.why,
        "behind": one.behind,
    }

"""What became of a policy's truth table and rules, and the rule behind each wrong cell. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from twinstack.linux.iptables import Hook
from twinstack.model.plan import HOST, OUTSIDE, Plan
from twinstack.model.topology import WorldName
from twinstack.policy.trace import packet_of, trace
from twinstack.policy.truth_table import Cell
from twinstack.printable import counted

OPEN = "open"


@dataclass(frozen=True, slots=True)
class Enforcement:
    """Where a world's policy is enforced, as observed."""

    world: WorldName
    namespaces: Mapping[str, Path | None]  # replica or HOST → its netns; None: the caller's
    filter_rules: tuple[str, ...]  # iptables-save -t filter, line by line
    expected_chains: tuple[Hook, ...]  # as the plan wants them
    unfiltered_bridges: tuple[str, ...] = ()  # frames between their ports bypass iptables


@dataclass(frozen=True, slots=True)
class CellResult:
    """A cell as observed."""

    cell: Cell
    outcome: str  # OPEN, or how it was closed: "refused", "no answer" …
    cause: str = ""  # of a wrong one: the rule, or the missing rule, behind it

    @property
    def open(self) -> bool:
        return self.outcome == OPEN

    @property
    def wrong(self) -> bool:
        return self.open != self.cell.open


@dataclass(frozen=True, slots=True)
class RuleDifference:
    """A rule that is missing, or that the plan does not know."""

    chain: str
    rule: str
    missing: bool

    def __str__(self) -> str:
        return f"{'missing' if self.missing else 'unexpected'}: {self.rule}"


@dataclass(frozen=True, slots=True)
class PolicyVerdict:
    """Whether a world's policy is what the plan declares."""

    world: WorldName
    shape: str
    results: tuple[CellResult, ...]
    rule_count: int
    differences: tuple[RuleDifference, ...]
    unfiltered_bridges: tuple[str, ...]
    seconds: float

    @property
    def wrong(self) -> tuple[CellResult, ...]:
        return tuple(result for result in self.results if result.wrong)

    @property
    def passed(self) -> bool:
        return not (self.wrong or self.differences or self.unfiltered_bridges)


def rule_differences(
    expected: Sequence[Hook], present: tuple[str, ...]
) -> Iterator[RuleDifference]:
    """Compare chains with a table's lines, rule by rule, order and jumps included."""
    for hook in expected:
        current = tuple(line for line in present if line.startswith(f"-A {hook.chain} "))
        missing = [rule for rule in hook.lines if rule not in current]
        surplus = [rule for rule in current if rule not in hook.lines]
        if not missing and not surplus and current != hook.lines:
            surplus = [f"{hook.chain}: in another order, or twice"]
        if hook.jump and hook.jump not in present:
            missing.append(hook.jump)
        if not hook.lines and not any(f":{hook.chain} " in line for line in present):
            missing.append(f"chain {hook.chain}")
        yield from (RuleDifference(hook.chain, rule, True) for rule in missing)
        yield from (RuleDifference(hook.chain, rule, False) for rule in surplus)


def explain(cell: Cell, outcome: str, plan: Plan, enforcement: Enforcement) -> str:
    """Name the rule, or the missing rule, behind a wrong cell.

    The packet is followed through the present rules and through the expected ones. Where both lead
    to the same end, no rule explains it.
    """
    present, expected = enforcement.filter_rules, enforcement.expected_chains
    packet = packet_of(cell, plan, enforcement.world)
    if packet is None:
        return f"IPv6 is on between {cell.source} and {cell.destination}"
    if enforcement.unfiltered_bridges and outcome == OPEN:
        bridges = ", ".join(enforcement.unfiltered_bridges)
        return f"frames on {bridges} bypass iptables (nf_call_iptables is 0)"
    should, actual = trace(_with_expected(expected, present), packet), trace(present, packet)
    if actual.rule != should.rule:
        decided = f"decided by {actual.rule or f'the policy of {packet.hook}, {actual.verdict}'}"
        return decided if should.rule in present else f"missing: {should.rule}; {decided}"
    for difference in rule_differences(expected, present):
        return str(difference)
    return "no rule of iptables's filter table explains it"


def _with_expected(expected: Sequence[Hook], present: tuple[str, ...]) -> tuple[str, ...]:
    """Give a table's lines as they should be: our chains first, then other people's rules."""
    own = {hook.chain for hook in expected}
    jumps = [hook.jump for hook in expected if hook.jump]
    others = [line for line in present if line.startswith("-A ")]
    others = [line for line in others if line.split()[1] not in own and line not in jumps]
    policies = [line for line in present if not line.startswith("-A ")]
    return (*policies, *jumps, *(line for hook in expected for line in hook.lines), *others)


def _grid(verdict: PolicyVerdict, plan: Plan, *, expected: bool) -> str:
    """Draw who reaches whom: a port, or how many of them; `.` for nothing; `!` for a wrong cell."""
    names = [*(replica.name for replica in plan.replicas), HOST, OUTSIDE]
    squares: dict[tuple[str, str], list[CellResult]] = defaultdict(list)
    for result in verdict.results:
        squares[result.cell.source, result.cell.destination].append(result)
    width = max(len(name) for name in names)
    columns = " ".join(f"{number:>5}" for number, _ in enumerate(names, 1))
    lines = [f"{'':>3} {'':<{width}} {columns}"]
    for number, source in enumerate(names, 1):
        row = (_square(squares[source, name], expected=expected) for name in names)
        lines.append(f"{number:>3} {source:<{width}} {' '.join(f'{text:>5}' for text in row)}")
    return "\n".join(line.rstrip() for line in lines)


def _square(results: list[CellResult], *, expected: bool) -> str:
    if not results:
        return ""
    opened = [result.cell for result in results if (result.cell if expected else result).open]
    mark = "!" if not expected and any(result.wrong for result in results) else ""
    targets = {cell.target for cell in opened}
    if len(targets) == 1 and opened[0].protocol == "tcp":
        return f"{mark}{opened[0].port}"
    return f"{mark}{len(targets)}×" if targets else f"{mark}."


def text(verdict: PolicyVerdict, plan: Plan) -> str:
    """Give both grids, counts, the wrong cells and the rules behind them."""
    closed = sum(not result.cell.open for result in verdict.results)
    counts = (
        f"\n{counted(len(verdict.results), 'cell')} probed in {verdict.seconds:.1f} s: "
        f"{len(verdict.results) - closed} expected open, {closed} closed, "
        f"{len(verdict.wrong)} wrong."
    )
    parts = [
        f"expected ({verdict.world}, {verdict.shape}): from a row to a column; a port, or n×",
        _grid(verdict, plan, expected=True),
        "\nobserved",
        _grid(verdict, plan, expected=False),
        counts,
        f"{counted(verdict.rule_count, 'rule')} compared: {len(verdict.differences)} wrong.",
    ]
    parts += [f"! bridge {name}: its frames bypass iptables" for name in verdict.unfiltered_bridges]
    parts += [f"! rule {difference}" for difference in verdict.differences]
    for result in verdict.wrong:
        cell = result.cell
        where = f"{cell.source} → {cell.destination} {cell.target}"
        where += f" at {cell.address}" if cell.address else ""
        expected = f"expected {OPEN if cell.open else 'closed'} ({cell.why})"
        parts.append(f"! {where}: {result.outcome}, {expected}; {result.cause}")
    return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class ProbedCell:
    """A cell of the truth table: expected and observed."""

    source: str
    destination: str
    address: str
    protocol: str
    port: int
    expected: bool  # open
    observed: bool
    outcome: str  # "open", or how it was closed
    why: str  # it is expected
    cause: str  # of a wrong one: the rule behind it


@dataclass(frozen=True, slots=True)
class VerifiedPolicy:
    """A verdict as it is printed."""

    world: WorldName
    shape: str
    seconds: float
    wrong: tuple[ProbedCell, ...]
    rules: int  # that were compared
    rule_differences: tuple[RuleDifference, ...]
    unfiltered_bridges: tuple[str, ...]
    cells: tuple[ProbedCell, ...]
    asked_from: str = ""  # the host, where there are several
    ok: bool = True  # nothing is wrong


@dataclass(frozen=True, slots=True)
class VerifiedPolicies:
    """The verdict on each world."""

    worlds: tuple[VerifiedPolicy, ...]


@dataclass(frozen=True, slots=True)
class HostVerdicts:
    """Verdicts, host by host."""

    hosts: tuple[VerifiedPolicy, ...]


def verified(verdict: PolicyVerdict, asked_from: str = "") -> VerifiedPolicy:
    """Give a verdict as it is printed."""
    return VerifiedPolicy(
        verdict.world,
        verdict.shape,
        round(verdict.seconds, 3),
        tuple(map(_probed, verdict.wrong)),
        verdict.rule_count,
        verdict.differences,
        verdict.unfiltered_bridges,
        tuple(map(_probed, verdict.results)),
        asked_from,
        verdict.passed,
    )


def _probed(result: CellResult) -> ProbedCell:
    cell = result.cell
    return ProbedCell(
        cell.source,
        cell.destination,
        cell.address,
        cell.protocol,
        cell.port,
        expected=cell.open,
        observed=result.open,
        outcome=result.outcome,
        why=cell.why,
        cause=result.cause,
    )

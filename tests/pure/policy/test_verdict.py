"""A wrong cell is explained by the rule behind it."""

from __future__ import annotations

from dataclasses import replace

from tests.support.core_cases import planned
from tests.support.policy_cases import filter_lines
from twinstack.linux.iptables import Hook
from twinstack.model.plan import HOST, Plan
from twinstack.policy.chains import chains
from twinstack.policy.truth_table import Cell, cells
from twinstack.policy.verdict import (
    OPEN,
    CellResult,
    Enforcement,
    PolicyVerdict,
    explain,
    rule_differences,
    text,
    verified,
)

PLAN = planned()
EXPECTED: tuple[Hook, ...] = tuple(chain.hook(PLAN.mark) for chain in chains(PLAN, "net"))
PRESENT = filter_lines(PLAN, "net")
ACCEPTED = "-A FORWARD -j ACCEPT"


def enforced(rules: tuple[str, ...], plan: Plan = PLAN) -> Enforcement:
    return Enforcement("net", {HOST: None}, rules, EXPECTED)


def closed_cell(protocol: str = "tcp") -> Cell:
    return next(
        cell
        for cell in cells(PLAN, "net")
        if cell.protocol == protocol and not cell.open and cell.source == "nginx-lb"
    )


def test_rules_as_expected_differ_in_nothing():
    assert list(rule_differences(EXPECTED, PRESENT)) == []


def test_a_missing_a_surplus_and_a_moved_rule_differ():
    (drop,) = (line for line in PRESENT if line.endswith("-j DROP"))
    chain = drop.split()[1]
    missing = tuple(line for line in PRESENT if line != drop)
    assert [str(each) for each in rule_differences(EXPECTED, missing)] == [f"missing: {drop}"]
    surplus = (*PRESENT, f"-A {chain} -j ACCEPT")
    (found,) = rule_differences(EXPECTED, surplus)
    assert str(found) == f"unexpected: -A {chain} -j ACCEPT"
    (moved,) = rule_differences(EXPECTED, (drop, *missing))
    assert "in another order" in moved.rule


def test_a_chain_without_its_jump_differs():
    jump = next(hook.jump for hook in EXPECTED if hook.jump)
    without = tuple(line for line in PRESENT if line != jump)
    assert [each.rule for each in rule_differences(EXPECTED, without)] == [jump]


def test_a_rule_before_ours_is_named():
    cause = explain(closed_cell(), OPEN, PLAN, enforced((ACCEPTED, *PRESENT)))
    assert cause.endswith(f"decided by {ACCEPTED}")


def test_a_missing_rule_is_named():
    (drop,) = (line for line in PRESENT if line.endswith("-j DROP"))
    without = tuple(line for line in PRESENT if line != drop)
    assert explain(closed_cell(), OPEN, PLAN, enforced(without)).startswith(f"missing: {drop}")


def test_ipv6_and_an_unfiltered_bridge_are_named():
    assert explain(closed_cell("tcp6"), OPEN, PLAN, enforced(PRESENT)).startswith("IPv6 is on")
    unfiltered = replace(enforced(PRESENT), unfiltered_bridges=("br-app",))
    assert "br-app bypass iptables" in explain(closed_cell(), OPEN, PLAN, unfiltered)


def test_a_verdict_shows_wrong_cells_in_its_text_and_document():
    expected = next(cell for cell in cells(PLAN, "net") if cell.open)
    results = (CellResult(expected, "refused", "some rule"), CellResult(closed_cell(), "no answer"))
    verdict = PolicyVerdict("net", "flat", results, 2, (), (), 1.0)
    assert not verdict.passed
    assert "refused, expected open" in text(verdict, PLAN)
    shown = verified(verdict)
    assert (len(shown.cells), shown.rules) == (2, 2)
    (wrong,) = shown.wrong
    assert (wrong.outcome, wrong.cause, wrong.observed) == ("refused", "some rule", False)

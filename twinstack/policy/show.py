"""The rules of a policy for a reader: each with the sentence that it comes from. Pure."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.policy.chains import PolicyChain, chains
from twinstack.policy.permissions import Permission, permissions

_MOST_WIDTH = 78  # of a sentence, in columns
_UNENFORCED = """\
The flows are declared and not enforced: the world was brought up with
--no-policy. Every service reaches every other."""


@dataclass(frozen=True, slots=True)
class ShownRule:
    """A rule of iptables, and the sentence that it comes from."""

    chain: str
    rule: str
    sentence: str


@dataclass(frozen=True, slots=True)
class ShownPolicy:
    """What a plan permits in a world, and by which rules."""

    world: WorldName
    shape: str
    enforced: bool
    permissions: tuple[Permission, ...]
    rules: tuple[ShownRule, ...]


@dataclass(frozen=True, slots=True)
class ShownPolicies:
    """The policy of each world."""

    worlds: tuple[ShownPolicy, ...]


def _chains(plan: Plan, world: WorldName) -> tuple[PolicyChain, ...]:
    return chains(plan, world) if plan.policy else ()


def text(plan: Plan, world: WorldName, width: int = _MOST_WIDTH) -> str:
    """Give a plan's permissions and chains in a world as lines. Units: columns of the terminal."""
    first = f"{world}: everything is denied but this:" if plan.policy else _UNENFORCED
    lines = [first, *(f"  {granted.sentence}" for granted in permissions(plan, world))]
    for chain in _chains(plan, world):
        lines.append(f"\n{chain.name}" + (f" (from {chain.builtin})" if chain.builtin else ""))
        for rule in chain.rules:
            lines += textwrap.wrap(
                rule.sentence,
                min(width, _MOST_WIDTH),
                initial_indent="  # ",
                subsequent_indent="  # ",
            )
            # The comment is left out: the sentence says it.
            match, target = rule.text.partition("-m comment")[0], rule.text.rpartition(" -j ")[2]
            lines.append(f"  {match}-j {target}")
    return "\n".join(lines)


def shown(plan: Plan, world: WorldName) -> ShownPolicy:
    """Give a plan's permissions and rules in a world."""
    rules = (
        ShownRule(chain.name, f"-A {chain.name} {rule.text}", rule.sentence)
        for chain in _chains(plan, world)
        for rule in chain.rules
    )
    return ShownPolicy(world, plan.shape, plan.policy, permissions(plan, world), tuple(rules))

"""The rules of a policy that concern one replica, with what the kernel counted. Pure.

A rule concerns a replica if it names one of its addresses, or is in a chain that such a rule leads
to: the list of those who may ask it, the limits at the edge, the ports that it may go out to. Only
the first packets of connections are counted: the rest pass as replies, by a rule of their own.
Same as: iptables-save -c -t filter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from twinstack.linux.iptables import target
from twinstack.model import names
from twinstack.model.plan import Plan, Replica
from twinstack.model.topology import WorldName
from twinstack.observe.journey import rule_counters
from twinstack.policy.chains import PolicyChain, chains
from twinstack.policy.drops import count
from twinstack.policy.permissions import addresses
from twinstack.policy.trace import matches_of

#: A service that hundreds may ask has as many rules.
_MOST = 60

Way = Literal["in", "out"]
#: (chain, rule) → packets and bytes.
_Counted = Mapping[tuple[str, str], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class ConcernedRule:
    """A rule that a replica's connections may meet."""

    way: Way  # in: to the replica
    sentence: str
    rule: str
    packets: int | None  # since the rules were written; None: the rule is not there
    bytes: int | None


@dataclass(frozen=True, slots=True)
class ReplicaPolicy:
    """What the policy says of a replica, as enforced."""

    enforced: bool
    rules: tuple[ConcernedRule, ...] = ()
    left_out: int = 0  # rules beyond those listed
    denied: int = 0  # packets of the whole world, since the rules were written


def policy_of(plan: Plan, world: WorldName, replica: Replica, saved: str) -> ReplicaPolicy:
    """Find a replica's rules among the present ones; `saved` is iptables-save's, with counters."""
    counted = {
        (chain, rule): counts
        for (_, chain, rule, number), counts in rule_counters.read(saved).items()
        if number == 0
    }
    expected = chains(plan, world)
    present = {chain for chain, _ in counted}
    if present.isdisjoint(chain.name for chain in expected):
        return ReplicaPolicy(enforced=False)
    rules = sorted(_concerned(expected, plan, world, replica, counted), key=lambda each: each.way)
    left_out = max(len(rules) - _MOST, 0)
    denied = count(plan, world, saved)
    return ReplicaPolicy(True, tuple(rules[:_MOST]), left_out, denied)


def _concerned(
    expected: tuple[PolicyChain, ...],
    plan: Plan,
    world: WorldName,
    replica: Replica,
    counted: _Counted,
) -> Iterator[ConcernedRule]:
    """Give the rules in the order of their chains; those of `in` and `out` are mixed."""
    own = {f"{address}/32" for _, address in addresses(replica, world)}
    deny = names.chain(plan.instance, "DENY", world)
    led_to: dict[str, Way] = {}
    ways: dict[tuple[str, str], Way] = {}
    for chain in expected:
        for rule in chain.rules:
            if way := _way(rule.text, own):
                ways[chain.name, rule.text] = way
                led_to.setdefault(target(f" {rule.text}"), way)
    for chain in expected:
        for rule in chain.rules:
            led = led_to.get(chain.name) if chain.name != deny else None
            if way := ways.get((chain.name, rule.text)) or led:
                packets, size = counted.get((chain.name, rule.text), (None, None))
                yield ConcernedRule(
                    way, rule.sentence, _shown(chain.name, rule.text), packets, size
                )


def _shown(chain: str, rule: str) -> str:
    """Leave the comment out: the sentence says it."""
    return f"-A {chain} {rule.partition('-m comment')[0]}-j {target(f' {rule}')}"


def _way(rule: str, own: set[str]) -> Way | None:
    for negated, option, value in matches_of(f"-A x {rule}"):
        if value in own and not negated and option in {"-s", "-d"}:
            return "out" if option == "-s" else "in"
    return None

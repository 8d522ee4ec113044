"""Rules for a reader: whose a rule is, what it stands for, how a foreign one is removed. Pure."""

from __future__ import annotations

import re
import shlex

from twinstack.model.plan import HOST, Plan
from twinstack.model.topology import WorldName
from twinstack.observe.why.evidence import MetRule
from twinstack.policy.chains import chains

_COMMENT = re.compile(r'--comment (?:"([^"]*)"|(\S+))')


def comment(rule: str) -> str:
    """Give a rule's comment."""
    found = _COMMENT.search(rule)
    return (found[1] or found[2]) if found else ""


def is_ours(rule: MetRule, plan: Plan) -> bool:
    """Tell whether a rule carries our mark."""
    return comment(rule.rule).startswith(f"{plan.mark} ") or comment(rule.rule) == plan.mark


def sentence(rule: str, plan: Plan, world: WorldName) -> str:
    """Give what a rule of the policy stands for; "" for any other."""
    for chain in chains(plan, world) if plan.policy else ():
        for written in chain.rules:
            if _same(f"-A {chain.name} {written.text}", rule):
                return written.sentence
    return ""


def removal(rule: MetRule, world: WorldName) -> str:
    """Give the command that removes a foreign rule, or that shows where it is."""
    before = "" if rule.where == HOST else f"invoke {world}.exec {rule.where} -- "
    if rule.foreign:
        return f"{before}nft list table {rule.table}, chain {rule.chain}: remove what drops"
    if not rule.rule:
        return f"{before}iptables -t {rule.table} -P {rule.chain} ACCEPT"
    words = rule.rule.removeprefix("-A ")
    return f"{before}iptables -t {rule.table} -D {words}"


def shown(rule: MetRule) -> str:
    """Write a rule on one line, without its comment."""
    if rule.foreign:
        return f"{rule.table} {rule.chain}: a rule of nftables"
    if not rule.rule:
        return f"{rule.table} {rule.chain}: the policy of the chain"
    return f"{rule.table} {_uncommented(rule.rule)}"


def _uncommented(rule: str) -> str:
    return re.sub(r"-m comment --comment (?:\"[^\"]*\"|\S+) ", "", rule).removeprefix("-A ")


def _same(one: str, other: str) -> bool:
    return shlex.split(one) == shlex.split(other)

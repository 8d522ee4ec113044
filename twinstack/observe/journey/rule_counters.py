"""Which rules of iptables counted between two dumps, and could have counted a packet. Pure.

A rule counts everybody's packets. Left out are those that could not have matched ours: by their
addresses, ports and interfaces, or because no rule that could leads to their chain.
Same as: iptables-save -c, before and after.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network

from twinstack.linux import iptables
from twinstack.observe.journey.report import RuleCount
from twinstack.observe.journey.segments import Ends

_BUILT_IN = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})
_LINE = re.compile(r"\[(\d+):(\d+)\] -A (\S+) ?(.*)")


def read(saved: str) -> dict[tuple[str, str, str, int], tuple[int, int]]:
    """Read packets and bytes by table, chain, rule, and a number among equal rules."""
    counters: dict[tuple[str, str, str, int], tuple[int, int]] = {}
    equal: Counter[tuple[str, str, str]] = Counter()
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif match := _LINE.fullmatch(line.strip()):
            key = (table, match[3], match[4])
            counters[*key, equal[key]] = int(match[1]), int(match[2])
            equal[key] += 1
    return counters


def counted(before: str, after: str) -> tuple[RuleCount, ...]:
    """List the rules that counted more, in the order of the tables; new rules count from 0."""
    former = read(before)
    rules = []
    for key, (packets, size) in read(after).items():
        packets_before, size_before = former.get(key, (0, 0))
        if packets > packets_before:
            rules.append(RuleCount(*key[:3], packets - packets_before, size - size_before))
    return tuple(rules)


def relevant(
    rules: Sequence[RuleCount], ends: Collection[Ends], interfaces: Collection[str]
) -> tuple[RuleCount, ...]:
    """Keep the rules that could have matched packets between these ends on these interfaces."""
    could = [rule for rule in rules if any(_matches(rule.rule, e, interfaces) for e in ends)]
    reached = {(rule.table, rule.chain) for rule in rules if rule.chain in _BUILT_IN}
    while True:  # from the built-in chains on, as far as jumps lead
        jumps = {
            (rule.table, iptables.target(f" {rule.rule}"))
            for rule in could
            if (rule.table, rule.chain) in reached
        }
        if jumps <= reached:
            break
        reached |= jumps
    return tuple(rule for rule in could if (rule.table, rule.chain) in reached)


def _matches(rule: str, ends: Ends, interfaces: Collection[str]) -> bool:
    """Compare a rule's addresses, ports and interfaces with a packet; "!" inverts one.

    An inverted interface always matches: the packet may have crossed another one as well.
    """
    words = iptables.without_comments(rule).split()
    source, source_port, target, target_port = ends
    for number, word in enumerate(words[:-1]):
        value, inverted = words[number + 1], number > 0 and words[number - 1] == "!"
        if word in {"-s", "-d"}:
            address = IPv4Address(source if word == "-s" else target)
            matches = address in IPv4Network(value)
        elif word in {"--sport", "--dport"}:
            port = source_port if word == "--sport" else target_port
            low, _, high = value.partition(":")
            matches = int(low or 0) <= port <= int(high or low or 65535)
        elif word in {"-i", "-o"}:
            matches = inverted or any(iptables.matches_link(value, name) for name in interfaces)
            inverted = False
        else:
            continue
        if matches == inverted:
            return False
    return True

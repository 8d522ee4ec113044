"""What the rules of iptables counted between two looks at them: iptables-save -c; pure.

A rule counts everybody's packets. Left out are those that could not have matched ours: by their
addresses, ports and interfaces, or since no rule that could leads to their chain.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network

from twinstack.linux import iptables
from twinstack.observe.journey.report import Counted
from twinstack.observe.journey.segments import Ends

_BUILT_IN = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})
_LINE = re.compile(r"\[(\d+):(\d+)\] -A (\S+) ?(.*)")


def read(saved: str) -> dict[tuple[str, str, str, int], tuple[int, int]]:
    """Read packets and bytes by table, chain, rule, and the how-many-eth of its like."""
    found: dict[tuple[str, str, str, int], tuple[int, int]] = {}
    alike: Counter[tuple[str, str, str]] = Counter()
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif match := _LINE.fullmatch(line.strip()):
            key = (table, match[3], match[4])
            found[*key, alike[key]] = int(match[1]), int(match[2])
            alike[key] += 1
    return found


def more(before: str, after: str) -> tuple[Counted, ...]:
    """List the rules that counted more, in the order of the tables; new rules count from 0."""
    was = read(before)
    found = []
    for key, (packets, size) in read(after).items():
        packets_before, size_before = was.get(key, (0, 0))
        if packets > packets_before:
            found.append(Counted(*key[:3], packets - packets_before, size - size_before))
    return tuple(found)


def concerning(
    found: Sequence[Counted], ends: Collection[Ends], interfaces: Collection[str]
) -> tuple[Counted, ...]:
    """Keep the rules that could have matched packets between these ends on these interfaces."""
    could = [one for one in found if any(_matches(one.rule, packet, interfaces) for packet in ends)]
    reached = {(one.table, one.chain) for one in found if one.chain in _BUILT_IN}
    while True:  # from the built-in chains on, as far as jumps lead
        more_reached = reached | {
            (one.table, iptables.target(f" {one.rule}"))
            for one in could
            if (one.table, one.chain) in reached
        }
        if more_reached == reached:
            break
        reached = more_reached
    return tuple(one for one in could if (one.table, one.chain) in reached)


def _matches(rule: str, ends: Ends, interfaces: Collection[str]) -> bool:
    """Hold a rule's addresses, ports and interfaces against a packet; "!" turns one around.

    An interface that is not to be may still be another one of the packet's: that matches.
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
            matches = inverted or any(iptables.matches_link(value, one) for one in interfaces)
            inverted = False
        else:
            continue
        if matches == inverted:
            return False
    return True

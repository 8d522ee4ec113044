"""Which iptables rules touch our packets, and how chains are written back as they were. Pure.

A rule of a stranger's stays as it is: one that names a link, an address or a chain that is not
ours. What names nothing touches everybody's packets, ours too.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from twinstack.drill.kernel_state import Scope
from twinstack.linux.iptables import matches_link, target, without_comments

Tables = Mapping[str, Sequence[str]]
_ADDRESSES = {"-s", "-d", "--to-destination", "--to-source", "--to"}
_LINKS = {"-i", "-o"}
_BUILTIN = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule that is gone or new in a chain, or a chain's policy."""

    table: str
    chain: str
    line: str
    new: bool
    ours: bool  # it touches our packets


def named(rule: str, scope: Scope) -> tuple[bool, bool]:
    """Tell whether a rule names something of ours, and something that is not ours."""
    words = shlex.split(without_comments(rule))
    own = foreign = False
    for at, word in enumerate(words[:-1]):
        value, negated = words[at + 1], at > 0 and words[at - 1] == "!"
        if word in _LINKS and not negated and value != "lo":
            known = any(matches_link(value, link) for link in scope.links)
        elif word in _ADDRESSES and not negated:
            known = scope.has_address(value.partition(":")[0].partition("-")[0])
        else:
            continue
        own |= known
        foreign |= not known
    return own, foreign


def touches(rule: str, scope: Scope, strange: frozenset[str]) -> bool:
    """Tell whether a rule touches our packets; `strange`: see `_strange`."""
    if scope.all_of_it:
        return True
    own, foreign = named(rule, scope)
    return own if own or foreign else target(rule) not in strange


def changes(before: Tables, after: Tables, scope: Scope) -> Iterator[RuleChange]:
    """List what differs in each table's chains, order included."""
    for table in sorted({*before, *after}):
        was, now = before.get(table, ()), after.get(table, ())
        for chain in dict.fromkeys((*_chains(was), *_chains(now))):
            yield from _chain_changes(table, chain, was, now, scope)


def _chain_changes(
    table: str, chain: str, was: Sequence[str], now: Sequence[str], scope: Scope
) -> Iterator[RuleChange]:
    strange = _strange(was, now, scope)
    if chain in strange and chain in _chains(now):
        return
    judged = _is_judged(chain, scope)
    former, present = _policy(was, chain), _policy(now, chain)
    if former != present:
        line = f"-P {chain} {present}" if chain in _BUILTIN else f"-N {chain}"
        yield RuleChange(table, chain, line, chain in _BUILTIN or not former, judged)
    for kept, gone, new in _aligned(_lasting(was, chain), _lasting(now, chain)):
        if not kept:
            for rule in gone:
                ours = _is_ours(rule, judged, scope, strange)
                yield RuleChange(table, chain, rule, False, ours)
            for rule in new:
                ours = _is_ours(rule, judged, scope, strange)
                yield RuleChange(table, chain, rule, True, ours)


def restoring(before: Tables, after: Tables, scope: Scope) -> str:
    """Write what gives our packets the rules back that they had; "" where nothing is to be done.

    For `iptables-restore --noflush`: only the chains that differ are written, each as a whole.
    """
    text: list[str] = []
    differing = [change for change in changes(before, after, scope) if change.ours]
    for table in dict.fromkeys(change.table for change in differing):
        was, now = before.get(table, ()), after.get(table, ())
        strange = _strange(was, now, scope)
        head, body, gone = [], [], []
        for chain in dict.fromkeys(each.chain for each in differing if each.table == table):
            if chain not in _BUILTIN and chain not in _chains(was):
                head.append(f":{chain} - [0:0]")  # emptied first: rules of it may lead on
                gone.append(f"-X {chain}")
                continue
            head.append(f":{chain} {_policy(was, chain)} [0:0]")
            body.append(f"-F {chain}")  # naming a built-in chain does not empty it
            judged = _is_judged(chain, scope)
            for kept, lost, new in _aligned(_rules(was, chain), _rules(now, chain)):
                body += kept
                body += [rule for rule in new if not _is_ours(rule, judged, scope, strange)]
                body += [rule for rule in lost if _is_ours(rule, judged, scope, strange)]
        text += [f"*{table}", *head, *body, *gone, "COMMIT"]
    return "\n".join([*text, ""]) if text else ""


def _is_judged(chain: str, scope: Scope) -> bool:
    """Tell whether what names nothing in a chain touches our packets: a stranger's is his own."""
    return chain in _BUILTIN or scope.has_chain(chain)


def _is_ours(rule: str, judged: bool, scope: Scope, strange: frozenset[str]) -> bool:
    return touches(rule, scope, strange) if judged else named(rule, scope)[0]


def _strange(was: Sequence[str], now: Sequence[str], scope: Scope) -> frozenset[str]:
    """Name the strangers' chains that are new or gone: no rule in them names what is ours."""
    return frozenset(
        chain
        for chain in ({*_chains(was)} ^ {*_chains(now)}) - _BUILTIN
        if not scope.has_chain(chain)
        and not any(named(rule, scope)[0] for rule in _rules((*was, *now), chain))
    )


def _aligned(
    was: Sequence[str], now: Sequence[str]
) -> Iterator[tuple[Sequence[str], Sequence[str], Sequence[str]]]:
    """Give what is alike, what is gone and what is new, in their order."""
    matcher = difflib.SequenceMatcher(None, was, now, autojunk=False)
    for operation, a, b, c, d in matcher.get_opcodes():
        yield (was[a:b], (), ()) if operation == "equal" else ((), was[a:b], now[c:d])


def _chains(lines: Sequence[str]) -> list[str]:
    return [line[1:].split()[0] for line in lines if line.startswith(":")]


def _policy(lines: Sequence[str], chain: str) -> str:
    for line in lines:
        if line.startswith(f":{chain} "):
            return line.split()[1]
    return "ACCEPT" if chain in _BUILTIN else ""


def _lasting(lines: Sequence[str], chain: str) -> list[str]:
    """List a chain's rules without what changes as an engine starts containers again.

    The port that its resolver draws, and the order in its own chains and of its masquerading.
    """
    rules = [
        re.sub(r"(127\.0\.0\.11:|--sport )\d+", r"\1…", rule) if "127.0.0.11" in rule else rule
        for rule in _rules(lines, chain)
    ]
    if chain.startswith("DOCKER") and chain != "DOCKER-USER":
        return sorted(rules)
    to_itself = [rule for rule in rules if re.search(r" -s (\S+) -d \1 .*MASQUERADE", rule)]
    return [*(rule for rule in rules if rule not in to_itself), *sorted(to_itself)]


def _rules(lines: Sequence[str], chain: str) -> list[str]:
    return [line for line in lines if line.startswith(f"-A {chain} ")]

"""The same object made by hand: without our marks, in plain commands; pure.

`plain` makes a step's commands what a student would type, `seen` reads the kernel so that what
`plain` leaves out is not missed: marks, link groups, and settings that are there for speed or for
other programs' sake. The two belong together: a word that one drops, the other must not ask for.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from twinstack.linux.iptables import Hook, Tables
from twinstack.linux.links import LinkFacts
from twinstack.model import names
from twinstack.model.plan import Plan
from twinstack.namespaces.facts import NamespaceFacts, NetFacts
from twinstack.namespaces.process_steps import InstanceFile
from twinstack.namespaces.steps import NetStep, Rules, Sysctl, created
from twinstack.namespaces.vxlan_steps import VxlanEntries
from twinstack.reconcile import Action

#: What a command loses: marks and groups; queues and snooping, which are there for speed; what
#: the kernel supplies by itself.
_LEFT_OUT = re.compile(
    r" -m comment --comment (?:\"(?:[^\"\\]|\\.)*\"|\S+)"
    r"| group \d+| alias \S+| numtxqueues \d+ numrxqueues \d+| mtu 1500\b"
    r"| stp_state 0 mcast_snooping 0| proto static\b| -m tcp(?= )| -m udp(?= )| -t filter"
)
#: What is left of a command that did nothing else, and what is there for strangers' sake.
_NOTHING_LEFT = re.compile(r"ip(?: -n \S+)? link set dev \S+(?: addrgenmode none)?")
_TARGET = re.compile(r" -[jg] ")
_COMMENT = re.compile(r" -m comment --comment (?:\"(?:[^\"\\]|\\.)*\"|\S+)")


def plain(commands: Iterable[str], only: Collection[str] = ()) -> tuple[str, ...]:
    """Write commands as a student would type them; `only` those that contain one of the words."""
    return tuple(
        typed
        for command in commands
        if not only or any(word in command for word in only)
        if not _NOTHING_LEFT.fullmatch(typed := _LEFT_OUT.sub("", command))
    )


def solution(
    steps: Iterable[Action], only: Collection[str] = (), enter: str = ""
) -> tuple[str, ...]:
    """List the commands that make steps' objects; `enter` comes before each, on another host."""
    typed: list[str] = []
    for step in steps:
        commands = plain(step.commands, only)
        if isinstance(step, InstanceFile):
            commands = tuple(f"{command} <<'END'\n{step.content}END" for command in commands)
        typed += (f"{enter} {command}" if enter else command for command in commands)
    return tuple(typed)


def seen(facts: NetFacts, plan: Plan, steps: Sequence[NetStep]) -> NetFacts:
    """Give the facts with what the plan names, whoever made it, as if it carried our mark."""
    group = names.link_group(plan.instance)
    links = {name for kind, name in created(steps) if kind != "namespace"}
    sysctls = {step.key for step in steps if isinstance(step, Sysctl) and step.held}
    hooks = [step.hook for step in steps if isinstance(step, Rules)]
    return replace(
        facts,
        links={
            name: replace(_unconfigured(link), alias=plan.mark, group=group)
            if name in links
            else link
            for name, link in facts.links.items()
        },
        namespaces={
            name: _namespace(namespace, plan.mark) for name, namespace in facts.namespaces.items()
        },
        owned=replace(
            facts.owned,
            held=facts.owned.held | sysctls,
            rules=_rules(facts.owned.rules, hooks),
        ),
    )


def _unconfigured(link: LinkFacts) -> LinkFacts:
    return replace(link, autoconfigures_ipv6=False)


def _namespace(namespace: NamespaceFacts, mark: str) -> NamespaceFacts:
    links = {name: _unconfigured(link) for name, link in namespace.links.items()}
    return replace(namespace, mark=mark, links=links)


def _rules(present: Tables, hooks: Sequence[Hook]) -> Mapping[str, tuple[str, ...]]:
    """Give each rule that is the same as a declared one as that is written."""
    tables = dict(present)
    for table in {hook.table for hook in hooks}:
        declared: defaultdict[str, list[str]] = defaultdict(list)
        for line in _declared(hook for hook in hooks if hook.table == table):
            declared[_same(line)].append(line)
        lines = []
        for line in present.get(table, ()):
            same = declared.get(_same(line), [])
            lines.append(line if line in same or not same else same[0])
        tables[table] = tuple(lines)
    return tables


def _same(line: str) -> str:
    """Write a rule in the one form of all that are the same: iptables-save keeps a user's order.

    No declared rule has two matches of which one counts packets: then the order would matter.
    """
    newer = _COMMENT.sub("", line).replace(" -m state --state ", " -m conntrack --ctstate ")
    target = _TARGET.search(newer)
    end = target.start() if target else len(newer)
    start, *matches = newer[:end].split(" -m ")
    return " -m ".join((start, *sorted(matches))) + newer[end:]


def unplanned(step: Any, facts: Any) -> tuple[str, ...]:
    """List what a chain or a table of entries has beside what is planned, as a student wrote it."""
    if isinstance(step, Rules):
        present = facts.owned.rules.get(step.hook.table, ())
        own = (line for line in present if line.startswith(f"-A {step.hook.chain} "))
        return tuple(_COMMENT.sub("", line) for line in own if line not in step.hook.lines)
    if isinstance(step, VxlanEntries):
        surplus = sorted(step.current(facts.neighbours) - step.entries)
        return tuple(f"{each.mac} {each.to} on {each.link}".replace("  ", " ") for each in surplus)
    return ()


def _declared(hooks: Iterable[Hook]) -> Iterator[str]:
    for hook in hooks:
        yield from hook.lines
        if hook.jump:
            yield hook.jump


def made_otherwise(step: Any, facts: Any) -> str | None:
    """Say what a step cannot see, since `up` never makes it: another kind of link, a second jump.

    Whatever is found there is replaced by catching up.
    """
    if isinstance(step, Rules):
        jumps = facts.owned.rules.get(step.hook.table, ()).count(step.hook.jump)
        return f"the jump from {step.hook.builtin} is there twice" if jumps > 1 else None
    for kind, name in created([step]):
        link = facts.links.get(name)
        if kind != "namespace" and link is not None and link.kind != kind:
            return f"is a {link.kind or 'device'}, not a {kind}"
    return None

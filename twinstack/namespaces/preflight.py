"""Before anything is changed: is a name, an address or a port of ours somebody else's?

Each clash is one clear error that names the other's object. Pure: it judges facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from twinstack.errors import NotOurs, SeveralFailed
from twinstack.model.plan import Plan
from twinstack.namespaces import rules
from twinstack.namespaces.facts import NetFacts
from twinstack.namespaces.steps import Bridge, Namespace, NetStep, Rules, VethPair
from twinstack.namespaces.vxlan_steps import VxlanPort

#: Interface kinds that we make; anything of another kind with our name is not ours.
_KINDS = {"bridge", "veth", "vxlan"}


def check(plan: Plan, steps: tuple[NetStep, ...], facts: NetFacts) -> None:
    """Refuse to go on where something foreign stands in the way.

    Raises: NotOurs for one clash, SeveralFailed for more.
    """
    if other := _other_instance(plan, steps, facts):
        raise other
    clashes = [
        *_links(plan, steps, facts),
        *_namespaces(steps, facts),
        *_subnets(plan, facts),
        *_ports(plan, facts),
        *_chains(plan, steps, facts),
    ]
    if len(clashes) == 1:
        raise clashes[0]
    if clashes:
        raise SeveralFailed("net.up", clashes)


def _other_instance(plan: Plan, steps: tuple[NetStep, ...], facts: NetFacts) -> NotOurs | None:
    """Say once, not for every link, that another instance holds our names on this host."""
    for step in steps:
        if isinstance(step, Bridge) and (link := facts.links.get(step.link)):
            product, _, instance = (link.alias or "").partition(":")
            if product == plan.mark.partition(":")[0] and instance != plan.instance:
                return NotOurs(
                    f"bridge {step.link}",
                    "is not ours",
                    f"it belongs to instance {instance}, and namespace worlds share their names",
                    f"take that one down first (TWINSTACK_INSTANCE={instance} invoke net.down)",
                )
    return None


def _links(plan: Plan, steps: tuple[NetStep, ...], facts: NetFacts) -> Iterator[NotOurs]:
    ours = {link.name for link in facts.owned.links}
    for step in steps:
        if isinstance(step, Bridge):
            name, kind = step.link, "bridge"
        elif isinstance(step, VxlanPort):
            name, kind = step.link, "vxlan"
        elif isinstance(step, VethPair):
            name, kind = step.host_end, "veth"
        else:
            continue
        link = facts.links.get(name)
        if link is None:
            continue
        if link.kind != kind or name not in ours:
            mark = f"its alias is {link.alias}" if link.alias else "it has no mark of ours"
            yield NotOurs(
                f"{link.kind or 'link'} {name}",
                "is not ours",
                mark,
                f'rename or remove it ("ip link delete {name}"), or name another in topology.yml',
            )


def _namespaces(steps: tuple[NetStep, ...], facts: NetFacts) -> Iterator[NotOurs]:
    for step in steps:
        if isinstance(step, Namespace):
            there = facts.namespaces.get(step.namespace)
            if there is not None and not there.ours:
                yield NotOurs(
                    f"namespace {step.namespace}",
                    "is not ours",
                    "twinstack did not make it",
                    f'if nobody needs it, "ip netns delete {step.namespace}"',
                )


def _subnets(plan: Plan, facts: NetFacts) -> Iterator[NotOurs]:
    bridges = {segment.bridge for segment in plan.segments}
    ours = {link.name for link in facts.owned.links}
    for destination, link in facts.routes:
        network = IPv4Network(destination)
        if network.prefixlen <= 1:
            continue  # a default route, whole or (as VPNs set it) in halves
        for segment in plan.segments:
            if network.overlaps(segment.subnet) and link not in bridges | ours:
                yield NotOurs(
                    f"subnet {segment.subnet}",
                    "is taken",
                    f"the host reaches {destination} by {link or 'a route of its own'}",
                    f"declare another subnet for {segment.name} in topology.yml",
                )


def _ports(plan: Plan, facts: NetFacts) -> Iterator[NotOurs]:
    for door in plan.published_ports:
        if door.world == "net" and door.port in facts.listeners:
            yield NotOurs(
                f"port {door.port}",
                "is busy",
                f"a program listens on {facts.listeners[door.port]}:{door.port}",
                f'find it with "ss -ltnp sport = :{door.port}", or declare another host port',
            )


def _chains(plan: Plan, steps: tuple[NetStep, ...], facts: NetFacts) -> Iterator[NotOurs]:
    for step in steps:
        if isinstance(step, Rules):
            table, chain = step.hook.table, step.hook.chain
            lines = facts.rules.get(table, ())
            for line in rules.foreign_rules(chain, plan.instance, lines)[:1]:
                yield NotOurs(
                    f"chain {chain}",
                    "holds a rule that is not ours",
                    line,
                    f"put it elsewhere (iptables -t {table} -D {line.removeprefix('-A ')})",
                )

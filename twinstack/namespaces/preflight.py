"""Before anything is changed: does a name, an address or a port of ours belong to another owner?

Each clash is one clear error that names the foreign object. Pure: it judges facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network

from twinstack.errors import NotOurs, raise_all
from twinstack.linux import iptables
from twinstack.model import names
from twinstack.model.plan import Plan
from twinstack.namespaces import rules
from twinstack.namespaces.facts import NetFacts
from twinstack.namespaces.steps import NetStep, Rules, created


def check(plan: Plan, steps: Sequence[NetStep], facts: NetFacts) -> None:
    """Refuse to continue where a foreign object is in the way.

    Raises: NotOurs for one clash, SeveralFailed for more.
    """
    objects = tuple(created(steps))
    if other := _other_instance(plan, objects, facts):
        raise other
    clashes = [
        *_objects(plan, objects, facts),
        *_subnets(plan, facts),
        *_ports(plan, facts),
        *_chains(plan, steps, facts),
    ]
    raise_all("net.up", clashes)


def _other_instance(
    plan: Plan, objects: Sequence[tuple[str, str]], facts: NetFacts
) -> NotOurs | None:
    """Report once, not for every link, that another instance has our names on this host."""
    for kind, name in objects:
        link, namespace = facts.links.get(name), facts.namespaces.get(name)
        if kind == "namespace":
            mark = namespace.mark if namespace else None
        else:
            mark = link.alias if link else None
        if (instance := names.instance_of(mark)) not in {None, plan.instance}:
            return NotOurs(
                f"{kind} {name}",
                "is not ours",
                f"it belongs to instance {instance}, and namespace worlds share their names",
                f"take that one down first (TWINSTACK_INSTANCE={instance} invoke net.down)",
            )
    return None


def _objects(plan: Plan, objects: Sequence[tuple[str, str]], facts: NetFacts) -> Iterator[NotOurs]:
    ours = {link.name for link in facts.owned.links}
    for kind, name in objects:
        link, namespace = facts.links.get(name), facts.namespaces.get(name)
        if kind == "namespace":
            if namespace is not None and namespace.mark != plan.mark:
                cause = "twinstack did not create it"
                remedy = f'if nothing needs it, "ip netns delete {name}"'
                yield NotOurs(f"namespace {name}", "is not ours", cause, remedy)
        elif link is not None and (link.kind != kind or name not in ours):
            yield NotOurs(
                f"{link.kind or 'link'} {name}",
                "is not ours",
                f"its alias is {link.alias}" if link.alias else "it has no mark of ours",
                f'rename or remove it ("ip link delete {name}"), or name another in topology.yml',
            )


def _subnets(plan: Plan, facts: NetFacts) -> Iterator[NotOurs]:
    bridges = {segment.bridge for segment in plan.segments}
    ours = bridges | {link.name for link in facts.owned.links}
    for destination, link in facts.routes:
        network = IPv4Network(destination)
        if network.prefixlen <= 1 or link in ours:
            continue  # a default route may be in halves, as VPNs set it
        for segment in plan.segments:
            if network.overlaps(segment.subnet):
                yield NotOurs(
                    f"subnet {segment.subnet}",
                    "is taken",
                    f"the host reaches {destination} by {link or 'a route of its own'}",
                    f"declare another subnet for {segment.name} in topology.yml",
                )


def _ports(plan: Plan, facts: NetFacts) -> Iterator[NotOurs]:
    for published in rules.published_ports(plan):
        if published.port in facts.listeners:
            listener = f"{facts.listeners[published.port]}:{published.port}"
            find = f'find it with "ss -ltnp sport = :{published.port}"'
            yield NotOurs(
                f"port {published.port}",
                "is busy",
                f"a program listens on {listener}",
                f"{find}, or declare another host port",
            )


def _chains(plan: Plan, steps: Sequence[NetStep], facts: NetFacts) -> Iterator[NotOurs]:
    for hook in (step.hook for step in steps if isinstance(step, Rules)):
        foreign = iptables.foreign_rules(plan.mark, facts.owned.rules.get(hook.table, ()))
        for line in foreign.get(hook.chain, ())[:1]:
            remedy = f"move it (iptables -t {hook.table} -D {line.removeprefix('-A ')})"
            yield NotOurs(f"chain {hook.chain}", "holds a rule that is not ours", line, remedy)

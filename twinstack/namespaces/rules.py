"""The iptables rules of the namespace world: doors, the way out, and the policy. Pure.

Every rule is in a chain of our own and bears our mark; how chains are written, compared and
removed is `twinstack.linux.iptables`'s, which flows they enforce `twinstack.policy.chains`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from twinstack.linux import iptables
from twinstack.linux.iptables import (
    Hook,
    Ownership,
    Tables,
    difference,
    quoted,
    restore_text,
)
from twinstack.model import names
from twinstack.model.plan import Plan, PublishedPort, Replica, Segment
from twinstack.model.vxlan import Vtep
from twinstack.policy import chains

__all__ = [
    "Hook",
    "difference",
    "hooks",
    "our_chains",
    "quoted",
    "removal_text",
    "restore_text",
    "segments_with_doors",
    "strangers",
]


def hooks(plan: Plan) -> tuple[Hook, ...]:
    """Decide every rule of the plan."""
    doors = [door for door in plan.published_ports if door.world == "net"]

    def hook(table: str, builtin: str, rules: Iterator[str], *, first: bool = False) -> Hook:
        chain = names.chain(plan.instance, builtin)
        return Hook(table, builtin, chain, tuple(rules), first, plan.mark)

    return (
        hook("raw", "PREROUTING", _loopback_guard(plan)),
        hook("nat", "PREROUTING", _doors(plan, doors)),
        hook("nat", "OUTPUT", _doors(plan, doors)),
        hook("nat", "POSTROUTING", _masquerade(plan, doors)),
        *_filter(plan),
    )


def _ours(instance: str) -> Ownership:
    return Ownership(names.chain_pattern(instance, "net"), names.mark(instance))


def our_chains(instance: str, lines: tuple[str, ...]) -> list[str]:
    """List this world's chains of an instance among a table's lines."""
    return _ours(instance).chains(lines)


def strangers(chain: str, instance: str, lines: tuple[str, ...]) -> tuple[str, ...]:
    """List the rules in a chain of ours that do not bear our mark: somebody else put them there."""
    return iptables.foreign_rules(names.mark(instance), lines).get(chain, ())


def removal_text(instance: str, present: Tables, only: Collection[str] | None = None) -> str:
    """Write what removes this world's chains, and the jumps to them."""
    return iptables.removal_text(_ours(instance), present, only)


def _filter(plan: Plan) -> tuple[Hook, ...]:
    """Enforce the flows, or accept all that is our own."""
    if plan.policy:
        return tuple(chain.hook(plan.mark) for chain in chains.chains(plan, "net"))
    chain = names.chain(plan.instance, "FORWARD")
    return (Hook("filter", "FORWARD", chain, tuple(_forward(plan)), True, plan.mark),)


def _rule(plan: Plan, match: str, target: str, why: str = "") -> str:
    comment = f"{plan.mark} {why}".rstrip()
    middle = f"{match} " if match else ""
    return f"{middle}-m comment --comment {quoted(comment)} -j {target}"


def _loopback_guard(plan: Plan) -> Iterator[str]:
    """Keep namespaces away from what listens on the host's 127.0.0.1.

    route_localnet, needed for localhost:8080, would let them in.
    """
    uplinks = [plan.vtep.uplink] if plan.vtep and segments_with_doors(plan) else []
    for link in (*(segment.bridge for segment in plan.segments), *uplinks):
        yield _rule(plan, f"-d 127.0.0.0/8 -i {link}", "DROP", "guard of the host")


def _doors(plan: Plan, doors: list[PublishedPort]) -> Iterator[str]:
    """Send a port of the host on to its replica, wherever the client is."""
    for door in doors:
        replica = plan.replica(door.replica)
        local = "-m addrtype --dst-type LOCAL"
        if not door.bind.is_unspecified:
            local = ""
        bound = "" if door.bind.is_unspecified else f"-d {door.bind}/32 "
        match = " ".join(f"{bound}-p tcp {local} -m tcp --dport {door.port}".split())
        yield _rule(plan, match, f"DNAT --to-destination {replica.address}:{replica.port}")


def _masquerade(plan: Plan, doors: list[PublishedPort]) -> Iterator[str]:
    for door in doors:
        replica = plan.replica(door.replica)
        segment = plan.segment(replica.segment)
        to = f"-d {replica.address}/32"
        if plan.vtep and replica.name not in plan.vtep.here:
            yield from _to_another_host(plan, plan.vtep, replica)
            continue
        # A client on the host's loopback has an address that means nothing in the namespace.
        yield _rule(
            plan,
            f"-s 127.0.0.0/8 {to} -o {segment.bridge} -p tcp -m tcp --dport {replica.port}",
            "MASQUERADE",
            "localhost",
        )
        # A neighbour that came by way of the host must be answered by way of the host.
        yield _rule(
            plan,
            f"-s {segment.subnet} {to} -p tcp -m tcp --dport {replica.port}"
            " -m conntrack --ctstate DNAT",
            "MASQUERADE",
            "hairpin",
        )
    for segment in plan.segments:
        yield _rule(plan, f"-o {segment.bridge}", "RETURN", "between our own")
    for segment in plan.segments:
        yield _rule(plan, f"-s {segment.subnet}", "MASQUERADE", "out")


def _to_another_host(plan: Plan, vtep: Vtep, replica: Replica) -> Iterator[str]:
    """Ask from this host's own address what is behind another host, so that it answers this one.

    The gateway's address is every host's. A service asks from its own.
    """
    segment = plan.segment(replica.segment)
    to = f"-d {replica.address}/32 -o {segment.bridge} -p tcp -m tcp --dport {replica.port}"
    own = f"SNAT --to-source {vtep.address}"
    yield _rule(plan, f"-s {segment.subnet} {to} -m conntrack --ctstate DNAT", own, "hairpin")
    for one in plan.segments:
        yield _rule(plan, f"-s {one.subnet} {to}", "RETURN", "a service asks by itself")
    yield _rule(plan, to, own, "to another host")


def _forward(plan: Plan) -> Iterator[str]:
    """Accept our own traffic where somebody (Docker) has made DROP the policy."""
    bridges = [segment.bridge for segment in plan.segments]
    for source in bridges:
        for destination in bridges:
            yield _rule(plan, f"-i {source} -o {destination}", "ACCEPT", "between our own")
    for bridge in bridges:
        yield _rule(
            plan, f"-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED", "ACCEPT", "replies"
        )
        yield _rule(plan, f"-o {bridge} -m conntrack --ctstate DNAT", "ACCEPT", "the door")
        for foreign in chains.FOREIGN_LINKS:
            yield _rule(plan, f"-i {bridge} -o {foreign}", "RETURN", "left to the rules of others")
        yield _rule(plan, f"-i {bridge}", "ACCEPT", "out")


def segments_with_doors(plan: Plan) -> tuple[Segment, ...]:
    """List the segments that a door on the host's loopback leads into."""
    behind = {
        plan.replica(door.replica).segment for door in plan.published_ports if door.world == "net"
    }
    return tuple(segment for segment in plan.segments if segment.name in behind)

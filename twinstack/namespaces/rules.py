"""The iptables rules of the namespace world: published ports, the way out, and the policy. Pure.

Every rule is in a chain of our own and carries our mark. `twinstack.linux.iptables` writes,
compares and removes chains; `twinstack.policy.chains` decides which flows they enforce.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from twinstack.linux import iptables
from twinstack.linux.iptables import Hook, Ownership, Tables, quoted
from twinstack.model import names
from twinstack.model.plan import Plan, PublishedPort, Replica, Segment
from twinstack.model.vxlan import Vtep
from twinstack.policy import chains


def hooks(plan: Plan) -> tuple[Hook, ...]:
    """Decide every rule of the plan."""

    def hook(table: str, builtin: str, rules: Iterator[str], *, first: bool = False) -> Hook:
        chain = names.chain(plan.instance, builtin)
        return Hook(table, builtin, chain, tuple(rules), first, plan.mark)

    if plan.policy:
        filtering = tuple(chain.hook(plan.mark) for chain in chains.chains(plan, "net"))
    else:
        filtering = (hook("filter", "FORWARD", _forward(plan), first=True),)
    return (
        hook("raw", "PREROUTING", _loopback_guard(plan)),
        hook("nat", "PREROUTING", _destination_nat(plan)),
        hook("nat", "OUTPUT", _destination_nat(plan)),
        hook("nat", "POSTROUTING", _source_nat(plan)),
        *filtering,
    )


def published_ports(plan: Plan) -> tuple[PublishedPort, ...]:
    """List the host's ports that lead into this world."""
    return tuple(port for port in plan.published_ports if port.world == "net")


def published_segments(plan: Plan) -> tuple[Segment, ...]:
    """List the segments that a published port leads into."""
    behind = {plan.replica(port.replica).segment for port in published_ports(plan)}
    return tuple(segment for segment in plan.segments if segment.name in behind)


def ownership(instance: str) -> Ownership:
    """Recognise this world's chains of an instance, and its rules."""
    return Ownership(names.chain_pattern(instance, "net"), names.mark(instance))


def removal_text(instance: str, present: Tables, only: Collection[str] | None = None) -> str:
    """Write what removes this world's chains, and the jumps to them."""
    return iptables.removal_text(ownership(instance), present, only)


def _rule(plan: Plan, match: str, target: str, why: str = "") -> str:
    comment = f"{plan.mark} {why}".rstrip()
    middle = f"{match} " if match else ""
    return f"{middle}-m comment --comment {quoted(comment)} -j {target}"


def _loopback_guard(plan: Plan) -> Iterator[str]:
    """Keep namespaces away from listeners on the host's 127.0.0.1.

    route_localnet, needed for localhost:8080, would let them in.
    """
    uplinks = [plan.vtep.uplink] if plan.vtep and published_segments(plan) else []
    for link in (*(segment.bridge for segment in plan.segments), *uplinks):
        yield _rule(plan, f"-d 127.0.0.0/8 -i {link}", "DROP", "guard of the host")


def _destination_nat(plan: Plan) -> Iterator[str]:
    """Translate a published port of the host to its replica, wherever the client is."""
    for published in published_ports(plan):
        replica = plan.replica(published.replica)
        if published.bind.is_unspecified:
            match = f"-p tcp -m addrtype --dst-type LOCAL -m tcp --dport {published.port}"
        else:
            match = f"-d {published.bind}/32 -p tcp -m tcp --dport {published.port}"
        yield _rule(plan, match, f"DNAT --to-destination {replica.address}:{replica.port}")


def _source_nat(plan: Plan) -> Iterator[str]:
    for published in published_ports(plan):
        replica = plan.replica(published.replica)
        segment = plan.segment(replica.segment)
        if plan.vtep and replica.name not in plan.vtep.here:
            yield from _to_another_host(plan, plan.vtep, replica)
            continue
        to, tcp = f"-d {replica.address}/32", f"-p tcp -m tcp --dport {replica.port}"
        # A client on the host's loopback has an address that means nothing in the namespace.
        local = f"-s 127.0.0.0/8 {to} -o {segment.bridge} {tcp}"
        yield _rule(plan, local, "MASQUERADE", "localhost")
        # A neighbour that came by way of the host must be answered by way of the host.
        hairpin = f"-s {segment.subnet} {to} {tcp} -m conntrack --ctstate DNAT"
        yield _rule(plan, hairpin, "MASQUERADE", "hairpin")
    for segment in plan.segments:
        yield _rule(plan, f"-o {segment.bridge}", "RETURN", "between our own")
    for segment in plan.segments:
        yield _rule(plan, f"-s {segment.subnet}", "MASQUERADE", "out")


def _to_another_host(plan: Plan, vtep: Vtep, replica: Replica) -> Iterator[str]:
    """Reach a replica on another host from this host's own address, so that it replies to this one.

    All hosts share the gateway's address. A service keeps its own.
    """
    segment = plan.segment(replica.segment)
    to = f"-d {replica.address}/32 -o {segment.bridge} -p tcp -m tcp --dport {replica.port}"
    own = f"SNAT --to-source {vtep.address}"
    yield _rule(plan, f"-s {segment.subnet} {to} -m conntrack --ctstate DNAT", own, "hairpin")
    for source in plan.segments:
        yield _rule(plan, f"-s {source.subnet} {to}", "RETURN", "a service asks by itself")
    yield _rule(plan, to, own, "to another host")


def _forward(plan: Plan) -> Iterator[str]:
    """Accept our own traffic where the FORWARD policy is DROP (Docker sets it)."""
    bridges = [segment.bridge for segment in plan.segments]
    for source in bridges:
        for destination in bridges:
            yield _rule(plan, f"-i {source} -o {destination}", "ACCEPT", "between our own")
    for bridge in bridges:
        out = f"-o {bridge} -m conntrack --ctstate"
        yield _rule(plan, f"{out} RELATED,ESTABLISHED", "ACCEPT", "replies")
        yield _rule(plan, f"{out} DNAT", "ACCEPT", "published port")
        for foreign in chains.FOREIGN_LINKS:
            yield _rule(plan, f"-i {bridge} -o {foreign}", "RETURN", "left to the rules of others")
        yield _rule(plan, f"-i {bridge}", "ACCEPT", "out")

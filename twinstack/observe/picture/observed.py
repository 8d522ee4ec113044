"""What a world's network is like, as items: from links, addresses and rules as dumped. Pure.

A container's links are found by the index of the peer, which each end of a veth pair reports;
published ports and NAT by following the nat table from the kernel's own chains; flows by following
the first packet of each through the filter table, as `policy.trace` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from twinstack.linux.iptables import Tables, followed, target
from twinstack.linux.links import LinkFacts
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.picture import declared
from twinstack.observe.picture.model import Item, item
from twinstack.policy.permissions import addresses
from twinstack.policy.trace import packet_of, trace
from twinstack.policy.truth_table import Cell

_LOOPBACK = "lo"


@dataclass(frozen=True, slots=True)
class NamespaceNetwork:
    """A network namespace."""

    links: tuple[LinkFacts, ...]
    gateways: tuple[str, ...] = ()  # of its default routes


@dataclass(frozen=True, slots=True)
class WorldNetwork:
    """A world's network as dumped."""

    host: NamespaceNetwork  # where the bridges are
    namespaces: Mapping[str, NamespaceNetwork]  # by replica
    rules: Tables  # the host's


def observed(plan: Plan, world: WorldName, network: WorldNetwork) -> Iterator[Item]:
    """List everything of a world that is there, and what others attached to it."""
    bridges = {
        segment.bridge_in(world): segment.name
        for segment in plan.segments
        if not _is_foreign(segment.bridge_in(world), plan, world, network)
    }
    for link in network.host.links:
        if link.kind == "bridge" and (link.name in bridges or _is_marked(link, plan, world)):
            yield item("bridge", link.name, segment=bridges.get(link.name, ""), **_facts(link))
    for name in network.namespaces:
        yield item("replica", name, kind=declared.KIND[world], state=declared.PRESENT)
    yield from _links(plan, world, network, bridges)
    nat = network.rules.get("nat", ())
    yield from _published_ports(plan, world, nat)
    yield from _masqueraded(plan, world, nat)
    lines = network.rules.get("filter", ())
    unfiltered = _unfiltered(plan, world, network)

    def is_open(cell: Cell) -> bool:
        packet = packet_of(cell, plan, world)
        if packet is None:
            return False
        # No rule sees a frame between ports of a bridge that does not pass frames to iptables.
        bypasses = packet.in_link == packet.out_link and packet.in_link in unfiltered
        return bypasses or trace(lines, packet).passes

    yield from declared.flows(plan, world, is_open)


def notes(plan: Plan, world: WorldName, network: WorldNetwork) -> Iterator[str]:
    """Say what makes flows unjudged, or rules void."""
    if not plan.policy:
        yield "the policy is off: every flow is open"
    for name in sorted(_unfiltered(plan, world, network)):
        yield f"frames on {name} bypass iptables: neighbours reach each other on every port"


def _unfiltered(plan: Plan, world: WorldName, network: WorldNetwork) -> set[str]:
    ours = {segment.bridge_in(world) for segment in plan.segments if plan.policy}
    bridges = (link for link in network.host.links if link.kind == "bridge" and not link.filtered)
    return {link.name for link in bridges} & ours


def _is_marked(link: LinkFacts, plan: Plan, world: WorldName) -> bool:
    """Tell whether a link is the namespace world's; an engine does not mark its links."""
    return world == "net" and link.alias == plan.mark


def _is_foreign(bridge: str, plan: Plan, world: WorldName, network: WorldNetwork) -> bool:
    """Tell whether a bridge of our name carries another's mark: an instance's, or a stranger's."""
    marks = {link.alias for link in network.host.links if link.name == bridge}
    return world == "net" and not marks <= {plan.mark, None}


def _facts(link: LinkFacts) -> dict[str, str]:
    state = declared.UP if link.up else "down"
    return {"address": ", ".join(sorted(link.addresses)), "state": state, "mtu": str(link.mtu)}


def _links(
    plan: Plan, world: WorldName, network: WorldNetwork, bridges: Mapping[str, str]
) -> Iterator[Item]:
    by_index = {link.index: link for link in network.host.links}
    joined: set[int] = set()
    for replica, namespace in network.namespaces.items():
        for link in namespace.links:
            if link.name == _LOOPBACK:
                continue
            outer = by_index.get(link.peer or 0)
            if outer is not None and outer.peer != link.index:  # an index of another namespace
                outer = None
            if outer is not None:
                joined.add(outer.index)
            facts = _link_facts(replica, link, outer)
            if world == "net":
                facts["gateway"] = ", ".join(namespace.gateways)
            segment = bridges.get(facts["bridge"])
            name = declared.link_name(replica, segment) if segment else f"{replica}:{link.name}"
            yield item("link", name, **facts)
    for link in network.host.links:
        loose = link.kind == "veth" and _is_marked(link, plan, world)
        if link.index not in joined and (link.master in bridges or loose):
            yield item(
                "link", link.name, bridge=link.master or "", outside=link.name, **_facts(link)
            )


def _link_facts(replica: str, link: LinkFacts, outer: LinkFacts | None) -> dict[str, str]:
    """Describe a veth pair by its inner end, and its outer one where that was found."""
    facts = {"replica": replica, "inside": link.name, **_facts(link)}
    if outer is None:
        return facts | {"bridge": "", "outside": "", "state": "down"}
    state = facts["state"] if outer.up else "down"
    return facts | {"bridge": outer.master or "", "outside": outer.name, "state": state}


def _published_ports(plan: Plan, world: WorldName, nat: Sequence[str]) -> Iterator[Item]:
    """Find the host's ports that lead to a replica, whatever made the rule."""
    replicas = {
        str(address): replica.name
        for replica in plan.replicas
        for _, address in addresses(replica, world)
    }
    ports: dict[str, dict[str, str]] = {}
    for chain, clients in declared.NAT_CLIENTS.items():
        for line in followed(nat, chain):
            to = re.search(r"--to-destination (\S+)", line)
            port = re.search(r"--dport (\d+)", line)
            replica = replicas.get(to[1].partition(":")[0]) if to else None
            if target(line) != "DNAT" or not to or not port or replica is None:
                continue
            bound = re.search(r"(?<!! )-d (\d+\.\d+\.\d+\.\d+)(?:/32)? ", line)
            bind = bound[1] if bound else "0.0.0.0"
            # No other machine's packet has a destination in 127.0.0.0/8.
            client = declared.NAT_CLIENTS["OUTPUT"] if bind.startswith("127.") else clients
            facts = {"to": to[1], "replica": replica, "for": client}
            known = ports.setdefault(f"{bind}:{port[1]}", facts)
            if client not in known["for"]:
                known["for"] += f", {client}"
    for name, facts in ports.items():
        yield item("published port", name, **facts)


def _masqueraded(plan: Plan, world: WorldName, nat: Sequence[str]) -> Iterator[Item]:
    """Find our subnets that go out under the host's address."""
    subnets = {str(segment.subnet_in(world)): segment.name for segment in plan.segments}
    for line in followed(nat, "POSTROUTING"):
        source = re.search(r"-A \S+ -s (\S+)", line)
        narrowed = re.search(r" -d | --dport ", line)
        if target(line) == "MASQUERADE" and source and not narrowed and source[1] in subnets:
            yield item("nat", source[1], segment=subnets[source[1]])

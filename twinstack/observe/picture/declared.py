"""What a plan declares of a world's network, as items. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from twinstack.model.plan import Plan, PublishedPort, Replica
from twinstack.model.topology import WorldName
from twinstack.observe.picture.model import Item, item
from twinstack.policy.permissions import addresses
from twinstack.policy.truth_table import Cell, cells

#: In a world of more replicas, flows are judged by the first replica of each service.
MOST_JUDGED = 40
#: The nat chains in which a packet to a published port starts, and whose packets those are.
NAT_CLIENTS = {"PREROUTING": "other machines", "OUTPUT": "this host"}
#: What a replica runs in.
KIND: Mapping[WorldName, str] = {"net": "namespace", "docker": "container"}
UP = "up"
PRESENT = "there"
#: Service, service, protocol, port.
FlowKey = tuple[str, str, str, int]


def declared(plan: Plan, world: WorldName) -> Iterator[Item]:
    """List everything that the plan declares."""
    common = {"state": UP, "mtu": str(plan.mtu)}
    for segment in plan.segments:
        address = f"{segment.gateway_in(world)}/{segment.subnet_in(world).prefixlen}"
        facts = {"segment": segment.name, "tiers": ", ".join(segment.tiers), "address": address}
        yield item("bridge", segment.bridge_in(world), **facts, **common)
    for replica in plan.replicas:
        facts = {"kind": KIND[world], "service": replica.service, "tier": replica.tier}
        yield item("replica", replica.name, **facts, state=PRESENT)
        for link in _links(plan, replica, world):
            yield replace(link, facts={**link.facts, **common})
    for port in plan.published_ports:
        if port.world == world:
            yield _published_port(plan, port, world)
    for segment in plan.segments:
        if not (world == "docker" and segment.internal):
            yield item("nat", str(segment.subnet_in(world)), segment=segment.name)
    yield from flows(plan, world, lambda cell: cell.open)


def _published_port(plan: Plan, port: PublishedPort, world: WorldName) -> Item:
    replica = plan.replica(port.replica)
    facts = {"replica": port.replica, "to": f"{replica.address_in(world)}:{port.replica_port}"}
    if world == "net":
        facts["for"] = ", ".join(NAT_CLIENTS.values())
    elif len(replica.attachments) > 1:
        del facts["to"]  # the engine chooses which of a container's addresses
    return item("published port", f"{port.bind}:{port.port}", **facts)


def _links(plan: Plan, replica: Replica, world: WorldName) -> Iterator[Item]:
    for name, address in addresses(replica, world):
        segment = plan.segment(name)
        facts = {
            "replica": replica.name,
            "bridge": segment.bridge_in(world),
            "address": f"{address}/{segment.subnet_in(world).prefixlen}",
        }
        if world == "net":
            facts |= {"inside": replica.link, "outside": replica.host_link}
            facts["gateway"] = str(segment.gateway)
        yield item("link", link_name(replica.name, name), **facts)


def flows(plan: Plan, world: WorldName, is_open: Callable[[Cell], bool]) -> Iterator[Item]:
    """List the flows of which some way is open, and how many ways are, of those declared.

    A way is from one replica to another. Without a policy everything is open: none is listed.
    """
    services = {replica.name: replica.service for replica in plan.replicas}
    expected: Counter[FlowKey] = Counter()
    opened: Counter[FlowKey] = Counter()
    for cell in judged(plan, world):
        source, destination = (services.get(end, end) for end in (cell.source, cell.destination))
        flow: FlowKey = (source, destination, cell.protocol, cell.port)
        expected[flow] += cell.open
        opened[flow] += is_open(cell)
    for flow, count in opened.items():
        if count:
            source, destination, protocol, port = flow
            every = expected[flow]
            ways = "all" if count == every else f"{count} of {every}" if every else f"{count}"
            ends = {"source": source, "destination": destination}
            name = f"{source} → {destination} {protocol} {port}"
            yield item("flow", name, **ends, protocol=protocol, port=str(port), ways=ways)


def judged(plan: Plan, world: WorldName) -> Iterator[Cell]:
    """List the truth table's cells that are judged: TCP and UDP, not by a published port."""
    if not plan.policy:
        return
    if len(plan.replicas) > MOST_JUDGED:
        firsts = {replica.service: replica for replica in reversed(plan.replicas)}
        plan = replace(plan, replicas=tuple(reversed(firsts.values())))
    for cell in cells(plan, world):
        if cell.protocol in {"tcp", "udp"} and not cell.upstream:
            yield cell


def link_name(replica: str, segment: str) -> str:
    """Name a replica's link to a segment."""
    return f"{replica}@{segment}"

"""What a plan declares of a world, as items; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network

from twinstack.model.plan import HOST, OUTSIDE, Plan, PublishedPort, Replica, Segment
from twinstack.model.topology import WorldName
from twinstack.observe.picture.model import Item
from twinstack.policy.truth_table import Cell, cells

#: Past so many replicas flows are judged by the first of each service.
MOST_JUDGED = 40
#: Where the kernel starts to translate: for whom a rule there is meant.
STARTS = {"PREROUTING": "other machines", "OUTPUT": "this host"}
UP = "up"
THERE = "there"
Flow = tuple[str, str, str, int]


def declared(plan: Plan, world: WorldName) -> Iterator[Item]:
    """List everything that the plan wants to be there."""
    for segment in plan.segments:
        yield Item(
            "bridge",
            bridge_of(segment, world),
            {
                "segment": segment.name,
                "tiers": ", ".join(segment.tiers),
                "address": f"{gateway_of(segment, world)}/{subnet_of(segment, world).prefixlen}",
                "state": UP,
                "mtu": str(plan.mtu),
            },
        )
    for replica in plan.replicas:
        yield Item(
            "place",
            replica.name,
            {
                "kind": kind_of(world),
                "service": replica.service,
                "tier": replica.tier,
                "state": THERE,
            },
        )
        yield from _links(plan, replica, world)
    for door in plan.published_ports:
        if door.world == world:
            yield _door(plan, door, world)
    for segment in plan.segments:
        if not (world == "docker" and segment.internal):
            yield Item("nat", str(subnet_of(segment, world)), {"segment": segment.name})
    for flow, (opened, _) in flows(plan, world).items():
        if opened:
            yield flow_item(flow, opened, opened)


def _door(plan: Plan, door: PublishedPort, world: WorldName) -> Item:
    replica = plan.replica(door.replica)
    facts = {"replica": door.replica, "to": f"{replica.address_in(world)}:{door.replica_port}"}
    if world == "net":
        facts["for"] = ", ".join(STARTS.values())
    elif len(replica.attachments) > 1:
        # Which of a container's addresses a port leads to, the engine decides.
        del facts["to"]
    return Item("door", f"{door.bind}:{door.port}", facts)


def _links(plan: Plan, replica: Replica, world: WorldName) -> Iterator[Item]:
    if world == "net":
        bridge = plan.segment(replica.segment).bridge
        yield Item(
            "link",
            link_name(replica.name, replica.segment),
            {
                "replica": replica.name,
                "bridge": bridge,
                "inside": replica.link,
                "outside": replica.host_link,
                "state": UP,
                "mtu": str(plan.mtu),
                "address": f"{replica.address}/{replica.prefix_length}",
                "gateway": str(replica.gateway),
            },
        )
        return
    for one in replica.attachments:
        segment = plan.segment(one.segment)
        yield Item(
            "link",
            link_name(replica.name, one.segment),
            {
                "replica": replica.name,
                "bridge": segment.docker_bridge,
                "state": UP,
                "address": f"{one.address}/{segment.docker_subnet.prefixlen}",
                "mtu": str(plan.mtu),
            },
        )


def flows(plan: Plan, world: WorldName) -> dict[Flow, tuple[int, int]]:
    """Count, for each flow, the questions that should be open, and all of them.

    Flows are asked as `policy.verify` asks them: every replica of one of every replica of another.
    Without a policy everything is open.
    """
    should: Counter[Flow] = Counter()
    every: Counter[Flow] = Counter()
    for cell in judged(plan, world):
        flow = flow_of(plan, cell)
        every[flow] += 1
        should[flow] += cell.open
    return {flow: (should[flow], every[flow]) for flow in every}


def judged(plan: Plan, world: WorldName) -> Iterator[Cell]:
    """List the questions that are asked of the rules: by TCP and UDP, all but those by a door."""
    if not plan.policy:
        return
    if len(plan.replicas) > MOST_JUDGED:
        firsts = {one.service: one for one in reversed(plan.replicas)}
        plan = replace(plan, replicas=tuple(reversed(firsts.values())))
    for cell in cells(plan, world):
        if cell.protocol in {"tcp", "udp"} and not cell.upstream:
            yield cell


def flow_of(plan: Plan, cell: Cell) -> Flow:
    """Name the flow that a question is of: replicas by their service."""
    source, destination = (
        end if end in {HOST, OUTSIDE} else plan.replica(end).service
        for end in (cell.source, cell.destination)
    )
    return source, destination, cell.protocol, cell.port


def flow_item(flow: Flow, opened: int, of: int) -> Item:
    """Give a flow of which so many ways are open, and so many should be."""
    source, destination, protocol, port = flow
    ways = "all" if opened == of else f"{opened} of {of}" if of else f"{opened}"
    return Item(
        "flow",
        f"{source} → {destination} {protocol} {port}",
        {
            "source": source,
            "destination": destination,
            "protocol": protocol,
            "port": str(port),
            "ways": ways,
        },
    )


def kind_of(world: WorldName) -> str:
    """Say what a replica lives in."""
    return "namespace" if world == "net" else "container"


def bridge_of(segment: Segment, world: WorldName) -> str:
    """Give a segment's bridge in a world."""
    return segment.bridge if world == "net" else segment.docker_bridge


def gateway_of(segment: Segment, world: WorldName) -> str:
    """Give the host's address on a segment."""
    return str(segment.gateway if world == "net" else segment.docker_gateway)


def subnet_of(segment: Segment, world: WorldName) -> IPv4Network:
    """Give a segment's subnet in a world."""
    return segment.subnet if world == "net" else segment.docker_subnet


def link_name(replica: str, segment: str) -> str:
    """Name a replica's link to a segment."""
    return f"{replica}@{segment}"

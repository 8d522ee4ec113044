"""What the facts of a world's network amount to, as items; pure.

A container's links are found by the index that each end of a veth pair tells of the other; doors
and address translation by following the nat table from the chains that the kernel starts in;
flows by following the first packet of each through the filter table, as `policy.trace` reads it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from twinstack.linux.iptables import target, without_comments
from twinstack.linux.links import LinkFacts
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.picture.declared import (
    STARTS,
    THERE,
    UP,
    Flow,
    bridge_of,
    flow_item,
    flow_of,
    flows,
    judged,
    kind_of,
    link_name,
    subnet_of,
)
from twinstack.observe.picture.facts import Facts, Inside
from twinstack.observe.picture.model import Item
from twinstack.policy.trace import packet_of, trace

_LOOPBACK = "lo"
_DEPTH = 8


def observed(plan: Plan, world: WorldName, facts: Facts) -> Iterator[Item]:
    """List everything of the world's that is there, and what strangers hung on it."""
    bridges = {bridge_of(one, world): one.name for one in plan.segments}
    for one in facts.host.interfaces:
        if one.kind == "bridge" and (one.name in bridges or _is_marked(one, plan, world)):
            yield Item(
                "bridge",
                one.name,
                {
                    "segment": bridges.get(one.name, ""),
                    "address": ", ".join(sorted(one.addresses)),
                    "state": _state(one),
                    "mtu": str(one.mtu),
                },
            )
    for name in facts.places:
        yield Item("place", name, {"kind": kind_of(world), "state": THERE})
    yield from _links(plan, world, facts, bridges)
    yield from _doors(plan, world, facts.rules.get("nat", ()))
    yield from _masked(plan, world, facts.rules.get("nat", ()))
    yield from _flows(plan, world, facts)


def notes(plan: Plan, world: WorldName, facts: Facts) -> Iterator[str]:
    """Say what the items do not: frames that pass no rule, rules that could not be read."""
    if not plan.policy:
        yield "the flows are not enforced: everybody reaches everybody"
    for name in sorted(_unfiltered(plan, world, facts)):
        yield f"frames on {name} pass no iptables: neighbours reach each other on every port"


def _links(plan: Plan, world: WorldName, facts: Facts, bridges: dict[str, str]) -> Iterator[Item]:
    by_index = {one.index: one for one in facts.host.interfaces}
    ours = {link.name for link in facts.host.interfaces if link.kind == "bridge"} & set(bridges)
    joined: set[int] = set()
    for replica, place in facts.places.items():
        for one in place.interfaces:
            if one.name == _LOOPBACK:
                continue
            outer = by_index.get(one.peer or 0)
            if outer is not None and outer.peer == one.index:
                joined.add(outer.index)
            else:
                outer = None
            yield _inside(replica, one, place, outer, bridges, world)
    for one in facts.host.interfaces:
        loose = one.kind == "veth" and _is_marked(one, plan, world)
        if one.index not in joined and (one.master in ours or loose):
            yield Item(
                "link",
                one.name,
                {
                    "bridge": one.master or "",
                    "outside": one.name,
                    "state": _state(one),
                    "mtu": str(one.mtu),
                    "address": ", ".join(sorted(one.addresses)),
                },
            )


def _inside(
    replica: str,
    one: LinkFacts,
    place: Inside,
    outer: LinkFacts | None,
    bridges: dict[str, str],
    world: WorldName,
) -> Item:
    bridge = outer.master or "" if outer else ""
    segment = bridges.get(bridge, "")
    said = {
        "replica": replica,
        "bridge": bridge,
        "inside": one.name,
        "outside": outer.name if outer else "",
        "address": ", ".join(sorted(one.addresses)),
        "state": UP if one.up and outer and outer.up else "down",
        "mtu": str(one.mtu),
    }
    if world == "net":
        said["gateway"] = ", ".join(place.gateways)
    return Item("link", link_name(replica, segment) if segment else f"{replica}:{one.name}", said)


def _is_marked(one: LinkFacts, plan: Plan, world: WorldName) -> bool:
    """Tell a link of the namespace world's: what an engine makes, it does not mark."""
    return world == "net" and one.alias == plan.mark


def _state(one: LinkFacts) -> str:
    return UP if one.up else "down"


def _doors(plan: Plan, world: WorldName, nat: tuple[str, ...]) -> Iterator[Item]:
    """Find the ports of the host that lead to a replica, whoever opened them."""
    whose = {
        str(address): replica.name
        for replica in plan.replicas
        for address in (
            (replica.address,)
            if world == "net"
            else tuple(one.address for one in replica.attachments)
        )
    }
    found: dict[str, dict[str, str]] = {}
    for start, anybody in STARTS.items():
        for line in _followed(nat, start):
            to = re.search(r"--to-destination (\S+)", line)
            port = re.search(r"--dport (\d+)", line)
            replica = whose.get(to[1].partition(":")[0]) if to else None
            if target(line) != "DNAT" or not to or not port or replica is None:
                continue
            bound = re.search(r"(?<!! )-d (\d+\.\d+\.\d+\.\d+)(?:/32)? ", line)
            name = bound[1] if bound else "0.0.0.0"
            # No other machine's packet has a destination in 127.0.0.0/8.
            who = STARTS["OUTPUT"] if name.startswith("127.") else anybody
            said = found.setdefault(
                f"{name}:{port[1]}", {"to": to[1], "replica": replica, "for": who}
            )
            if who not in said["for"]:
                said["for"] += f", {who}"
    for name, said in found.items():
        yield Item("door", name, said)


def _masked(plan: Plan, world: WorldName, nat: tuple[str, ...]) -> Iterator[Item]:
    """Find the subnets of ours that go out under the host's address."""
    subnets = {str(subnet_of(one, world)): one.name for one in plan.segments}
    for line in _followed(nat, "POSTROUTING"):
        source = re.search(r"-A \S+ -s (\S+)", line)
        aimed = re.search(r" -d | --dport ", line)
        if target(line) == "MASQUERADE" and source and not aimed and source[1] in subnets:
            yield Item("nat", source[1], {"segment": subnets[source[1]]})


def _followed(lines: tuple[str, ...], chain: str, depth: int = 0) -> Iterator[str]:
    """List the rules that packets of a chain may come to, comments left out, in their order."""
    start = f"-A {chain} "
    chains = {line[1:].split(" ", 1)[0] for line in lines if line.startswith(":")}
    for line in lines:
        if line.startswith(start):
            bare = without_comments(line)
            yield bare
            aim = target(line)
            if aim in chains and depth < _DEPTH:
                yield from _followed(lines, aim, depth + 1)


def _flows(plan: Plan, world: WorldName, facts: Facts) -> Iterator[Item]:
    lines = facts.rules.get("filter", ())
    free = _unfiltered(plan, world, facts)
    opened: Counter[Flow] = Counter()
    for cell in judged(plan, world):
        packet = packet_of(cell, plan, world)
        if packet is None:
            continue
        # Between neighbours whose bridge hands no frame to iptables, no rule is asked.
        past_rules = packet.in_link == packet.out_link and packet.in_link in free
        opened[flow_of(plan, cell)] += past_rules or trace(lines, packet).passes
    should = flows(plan, world)
    for flow, count in opened.items():
        if count:
            yield flow_item(flow, count, should[flow][0])


def _unfiltered(plan: Plan, world: WorldName, facts: Facts) -> set[str]:
    if not plan.policy:
        return set()
    ours = {bridge_of(one, world) for one in plan.segments}
    return {
        one.name
        for one in facts.host.interfaces
        if one.kind == "bridge" and one.name in ours and not one.filtered
    }

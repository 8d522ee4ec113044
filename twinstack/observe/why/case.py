"""One attempt laid along its way: the links that it should cross, and how far it came. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface

from twinstack.linux.links import LinkFacts
from twinstack.model.plan import HOST, OUTSIDE, Segment
from twinstack.observe.why.evidence import Drop, Evidence, MetRule, NamespaceState
from twinstack.policy.permissions import addresses, permissions

#: How far a packet can be seen to come: each link on the way, then the namespace behind it.
SOURCE, INSIDE, HOST_END, BRIDGE, FAR_BRIDGE, FAR_HOST_END, FAR_INSIDE = range(7)


@dataclass(frozen=True, slots=True)
class FailureCause:
    """Why an attempt did not pass."""

    cause: str  # its short name: host-end-down
    where: str  # the place of the way where it stops
    sentence: str
    remedy: str  # the command that mends it, or what to do
    rule: str = ""  # that decided it, as iptables-save has it


@dataclass(frozen=True, slots=True)
class End:
    """One end of the attempt, where it joins the host."""

    name: str  # the replica
    segment: Segment
    address: str  # that the plan gives it there
    link: str  # in its namespace
    inside: LinkFacts | None
    host_link: str  # "" where it cannot be known
    outside: LinkFacts | None
    bridge: LinkFacts | None

    @property
    def has_address(self) -> bool:
        """Tell whether the link has the address that the plan gives it."""
        held = self.inside.addresses if self.inside else frozenset[str]()
        return any(str(IPv4Interface(each).ip) == self.address for each in held)


@dataclass(frozen=True)
class Case:
    """The evidence, and what follows from where it was found."""

    evidence: Evidence

    @property
    def net_up(self) -> str:
        return f"invoke {self.evidence.question.world}.up"

    def restart(self, replica: str) -> str:
        return f"invoke {self.evidence.question.world}.restart {replica}"

    @cached_property
    def far(self) -> End | None:
        """Give the destination's end; None for the host and machines elsewhere."""
        question = self.evidence.question
        return self._end(question.destination, question.address)

    @cached_property
    def near(self) -> End | None:
        """Give the source's end: on the destination's segment, else on that of its gateway."""
        world, route = self.evidence.question.world, self.evidence.source.route
        segments = [self.far.segment] if self.far else []
        if route and route.gateway:
            segments += [
                segment
                for segment in self.evidence.plan.segments
                if str(segment.gateway_in(world)) == route.gateway
            ]
        return self._end(self.evidence.question.source, "", [each.name for each in segments])

    @property
    def routed(self) -> bool:
        """Tell whether the host routes between the ends."""
        return self.near is None or self.far is None or self.near.segment != self.far.segment

    @cached_property
    def furthest(self) -> int:
        """Give the furthest link that the client's packet was seen on."""
        near, far = self.near, self.far
        order = [
            (FAR_INSIDE, f"{far.name}/{far.link}" if far else ""),
            (FAR_HOST_END, far.host_link if far else ""),
            (FAR_BRIDGE, far.segment.bridge_in(self.evidence.question.world) if far else ""),
            (BRIDGE, near.segment.bridge_in(self.evidence.question.world) if near else ""),
            (HOST_END, near.host_link if near else ""),
            (INSIDE, f"{near.name}/{near.link}" if near else ""),
        ]
        for rank, place in order:
            if place and self.evidence.seen(place):
                return BRIDGE if rank == FAR_BRIDGE and not self.routed else rank
        return SOURCE

    @property
    def proxied(self) -> bool:
        """Tell whether docker-proxy takes the connection, and begins another one."""
        question = self.evidence.question
        local = question.published and question.address.startswith("127.")
        return local and question.world == "docker"

    @property
    def reached(self) -> bool:
        """Tell whether the destination itself answered, be it with a refusal."""
        came = self.evidence.attempt.outcome in {"answered", "connected", "open", "refused"}
        return came and (self.far is None or self.furthest == FAR_INSIDE)

    @property
    def direct(self) -> bool:
        """Tell whether another machine asks a container itself, by no published port."""
        question = self.evidence.question
        outer = question.source == OUTSIDE and not question.published
        return outer and question.world == "docker"

    @cached_property
    def declared(self) -> str:
        """Give the sentence of the flow or egress that permits the attempt; "" for none."""
        question = self.evidence.question
        if question.destination == HOST or self.direct:
            return ""
        plan = self.evidence.plan
        services = {replica.name: replica.service for replica in plan.replicas}
        sources = {services.get(question.source, question.source)}
        if question.source in {HOST, OUTSIDE}:
            sources = {"world", "host"} if question.source == HOST else {"world"}
        destination = services.get(question.destination, OUTSIDE)
        port = question.port
        if question.published:
            port = plan.replica(question.destination).port
        wanted = (destination, question.protocol, port)
        for granted in permissions(plan, question.world):
            if granted.source in sources and granted.target == wanted:
                return granted.sentence
        return ""

    def drop(self, *reasons: str, where: str = "") -> Drop | None:
        """Give the first drop with one of the reasons (any, where none is given)."""
        for drop in self.evidence.drops:
            if (not reasons or drop.reason in reasons) and where in {"", drop.where}:
                return drop
        return None

    def denied_by(self, where: str, *, replies: bool = False) -> MetRule | None:
        """Give the rule that dropped a packet of the attempt in a namespace."""
        number = self.evidence.attempt.number
        for rule in self.evidence.rules:
            back = rule.headers.destination_port == number != rule.headers.source_port
            if rule.where == where and rule.verdict == "drop" and back == replies:
                return rule
        return None

    def _end(self, name: str, address: str, segments: Sequence[str] = ()) -> End | None:
        """Give a replica's end by an address, or on the first of the segments that it is on."""
        evidence = self.evidence
        world, plan = evidence.question.world, evidence.plan
        replica = next((each for each in plan.replicas if each.name == name), None)
        if replica is None or name not in evidence.namespaces:
            return None
        own = addresses(replica, world)
        there = {str(a): (s, a) for s, a in own} | {s: (s, a) for s, a in own}
        chosen = next((there[each] for each in (address, *segments) if each in there), own[0])
        found, host = evidence.namespaces[name], evidence.host
        if world == "net":
            inside, host_link = found.links.get(replica.link), replica.host_link
            link = replica.link
        else:
            inside = _holder(found, chosen[1])
            link = inside.name if inside else "eth0"
            peers = (each.name for each in host.links.values() if inside and _pair(inside, each))
            host_link = next(peers, "")
        segment = plan.segment(chosen[0])
        return End(
            name,
            segment,
            str(chosen[1]),
            link,
            inside,
            host_link,
            host.links.get(host_link),
            host.links.get(segment.bridge_in(world)),
        )


def _holder(namespace: NamespaceState, address: IPv4Address) -> LinkFacts | None:
    """Find the link with an address, or the only one that is no loopback."""
    links = [link for link in namespace.links.values() if link.name != "lo"]
    for link in links:
        if any(IPv4Interface(each).ip == address for each in link.addresses):
            return link
    return links[0] if len(links) == 1 else None


def _pair(inside: LinkFacts, outer: LinkFacts) -> bool:
    return inside.peer == outer.index and outer.peer == inside.index


#: Looks for one cause, and gives it where the evidence shows it.
Cause = Callable[[Case], FailureCause | None]

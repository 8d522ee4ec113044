"""The policy: which new connections the declared flows permit, and what a probe must find. Pure.

`permissions` lists what is open, each with the sentence that it comes from. `cells` lists
everything that `policy.verify` asks, with what is to be expected. Everything that no permission
names is denied: between services, tiers, this host and the outside, ICMP and IPv6 too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

from twinstack.model.checks import OUTSIDE as PEERS
from twinstack.model.plan import Flow, Plan, PublishedPort, Replica
from twinstack.model.topology import WorldName

#: Endpoints that are no replica: this host, and a machine that stands for the internet.
HOST = "host"
OUTSIDE = "outside"
#: Ports that nobody declares, probed too: ssh's, and one of nobody's.
UNDECLARED = (22, 9999)
#: Where anything but a declared protocol could slip through.
UDP_PORTS = (53, 9999)

Protocol = Literal["tcp", "udp", "icmp", "tcp6", "icmp6"]


@dataclass(frozen=True, slots=True)
class Permission:
    """New connections that are open: from a service (or world, host) to a service's port.

    A permission to go out has the destination `OUTSIDE`. `sentence` says it in words, and where
    it was declared.
    """

    source: str
    destination: str
    protocol: Literal["tcp", "udp"]
    port: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One question: may `source` reach this port of `destination`, asked at this address?

    `source` and `destination` are replicas, `HOST` or `OUTSIDE`. `address` is empty where it is
    known only when probed: IPv6 link-local, the outside's. `door` is the replica behind a port of
    the host. `segment` is where link-local is tried. `proxied`: a program of the host's may answer
    in the service's stead, so that only an answer from behind it counts.
    """

    source: str
    destination: str
    address: str
    protocol: Protocol
    port: int
    open: bool
    why: str
    door: str = ""
    segment: str = ""
    proxied: bool = False

    @property
    def target(self) -> str:
        """Name what is asked for, as a column: protocol and port."""
        return f"{self.protocol}/{self.port}" if self.port else self.protocol


DENIED = "no flow is declared: everything else is denied"


def permissions(plan: Plan, world: WorldName) -> tuple[Permission, ...]:
    """List what the plan opens in a world; without a policy nothing is listed."""
    return (*_flows(plan, world), *_egress(plan))


def flows_in(plan: Plan, world: WorldName) -> tuple[Flow, ...]:
    """List the flows that are declared for a world."""
    return tuple(flow for flow in plan.flows if world in flow.worlds)


def _flows(plan: Plan, world: WorldName) -> Iterator[Permission]:
    for flow in flows_in(plan, world):
        who = {"world": "anybody outside, and this host,", "host": "this host"}
        yield Permission(
            flow.source,
            flow.destination,
            flow.protocol,
            flow.port,
            f"{who.get(flow.source, flow.source)} may connect to {flow.destination} by "
            f"{flow.protocol} port {flow.port} (flows)",
        )


def _egress(plan: Plan) -> Iterator[Permission]:
    for service in dict.fromkeys(replica.service for replica in plan.replicas):
        egress = plan.replicas_of(service)[0].egress
        protocols: tuple[Literal["tcp", "udp"], ...] = ("tcp", "udp")
        for protocol in protocols:
            for port in egress.ports(protocol):
                yield Permission(
                    service,
                    OUTSIDE,
                    protocol,
                    port,
                    f"{service} may connect out to {protocol} port {port} (egress)",
                )


def addresses(replica: Replica, world: WorldName) -> tuple[tuple[str, IPv4Address], ...]:
    """List a replica's addresses in a world, each with its segment; peers use the first."""
    if world == "net":
        return ((replica.segment, replica.address),)
    return tuple((one.segment, one.address) for one in replica.attachments)


def shared_segments(plan: Plan, one: str, other: str, world: WorldName) -> tuple[str, ...]:
    """List the segments on which two endpoints are neighbours; the host is on every one."""

    def of(name: str) -> tuple[str, ...]:
        if name == HOST:
            return tuple(segment.name for segment in plan.segments)
        return tuple(segment for segment, _ in addresses(plan.replica(name), world))

    return tuple(segment for segment in of(one) if segment in of(other))


class _Answers:
    """What the permissions say of a question; None for no."""

    def __init__(self, plan: Plan, world: WorldName) -> None:
        self._open: dict[tuple[str, str, str, int], str] = {
            (one.source, one.destination, one.protocol, one.port): one.sentence
            for one in permissions(plan, world)
        }

    def between(self, source: str, service: str, protocol: str, port: int) -> str | None:
        names = {HOST: ("host", "world"), OUTSIDE: ("world",)}.get(source, (source,))
        found = (self._open.get((name, service, protocol, port)) for name in names)
        return next((sentence for sentence in found if sentence), None)


def cells(plan: Plan, world: WorldName) -> tuple[Cell, ...]:
    """List every question of the truth table, with the answer that the plan expects.

    All pairs of replicas, this host and the outside; all ports that anything declares and a few
    that nobody does; TCP, UDP, ICMP, and IPv6 where two are neighbours.
    """
    answers = _Answers(plan, world)
    return (
        *_to_replicas(plan, world, answers),
        *_to_host(plan, world, answers),
        *_to_outside(plan, answers),
    )


def probed_ports(plan: Plan, protocol: str) -> tuple[int, ...]:
    """List the ports that are tried at every replica: declared ones, then some of nobody's."""
    declared: set[tuple[str, int]] = {(flow.protocol, flow.port) for flow in plan.flows}
    if protocol == "tcp":
        declared |= {("tcp", replica.port) for replica in plan.replicas}
    else:
        declared |= {("udp", port) for port in UDP_PORTS}
    declared |= {
        (protocol, port) for replica in plan.replicas for port in replica.egress.ports(protocol)
    }
    ports = sorted(port for kind, port in declared if kind == protocol)
    return tuple(dict.fromkeys((*ports, *(UNDECLARED if protocol == "tcp" else ()))))


def _to_replicas(plan: Plan, world: WorldName, answers: _Answers) -> Iterator[Cell]:
    questions: list[tuple[Protocol, int]] = [
        *(("tcp", port) for port in probed_ports(plan, "tcp")),
        *(("udp", port) for port in probed_ports(plan, "udp")),
        ("icmp", 0),
    ]
    for source in (*(replica.name for replica in plan.replicas), HOST, OUTSIDE):
        service = source if source in {HOST, OUTSIDE} else plan.replica(source).service
        for replica in plan.replicas:
            if replica.name == source:
                continue
            for place, (segment, address) in enumerate(addresses(replica, world)):
                for protocol, port in questions:
                    said = answers.between(service, replica.service, protocol, port)
                    why = said or DENIED
                    if said and place and source != HOST:
                        said, why = None, "peers use its first address, no other"
                    if said and source == OUTSIDE and world == "docker":
                        said, why = None, "other machines come by the published port"
                    yield Cell(
                        source,
                        replica.name,
                        str(address),
                        protocol,
                        port,
                        said is not None,
                        why,
                        segment=segment,
                    )
            if source != OUTSIDE:
                yield from _link_local(plan, world, source, replica.name, replica.port)


def _link_local(
    plan: Plan, world: WorldName, source: str, destination: str, port: int
) -> Iterator[Cell]:
    asked: tuple[tuple[Protocol, int], ...] = (("tcp6", port), ("icmp6", 0))
    for segment in shared_segments(plan, source, destination, world):
        for protocol, number in asked:
            yield Cell(
                source,
                destination,
                "",
                protocol,
                number,
                False,
                "no service speaks IPv6",
                segment=segment,
            )


def _to_host(plan: Plan, world: WorldName, answers: _Answers) -> Iterator[Cell]:
    doors = [door for door in plan.published_ports if door.world == world]
    for replica in plan.replicas:
        for segment, _ in addresses(replica, world):
            gateway = gateway_in(plan, segment, world)
            for port in dict.fromkeys((*(door.port for door in doors), *UNDECLARED)):
                door = next((one for one in doors if one.port == port), None)
                said = _by_door(plan, world, answers, replica.service, door)
                yield Cell(
                    replica.name,
                    HOST,
                    gateway,
                    "tcp",
                    port,
                    said is not None,
                    said or DENIED,
                    door.replica if door else "",
                    segment,
                )
            yield Cell(replica.name, HOST, gateway, "udp", 53, False, DENIED, segment=segment)
            yield Cell(replica.name, HOST, gateway, "icmp", 0, False, DENIED, segment=segment)
            yield from (
                cell
                for cell in _link_local(plan, world, replica.name, HOST, UNDECLARED[0])
                if cell.segment == segment
            )
    for door in doors:
        for source in (HOST, OUTSIDE):
            said = _by_door(plan, world, answers, source, door)
            if said and source == OUTSIDE and not door.bind.is_unspecified:
                said = None
            address = "127.0.0.1" if source == HOST else ""
            yield Cell(
                source,
                HOST,
                address,
                "tcp",
                door.port,
                said is not None,
                said or DENIED,
                door.replica,
                proxied=(source, world) == (HOST, "docker"),
            )


def _by_door(
    plan: Plan, world: WorldName, answers: _Answers, source: str, door: PublishedPort | None
) -> str | None:
    """Say why a port of the host leads a source to the replica behind it, or None.

    In Docker a container that turns to the host is let in by nobody: its proxy would hide who asks.
    """
    if door is None or (world == "docker" and source not in PEERS | {OUTSIDE}):
        return None
    said = answers.between(source, plan.replica(door.replica).service, "tcp", door.replica_port)
    return f"{said}, by port {door.port} of this host" if said else None


def gateway_in(plan: Plan, segment: str, world: WorldName) -> str:
    """Give the host's own address on a segment."""
    found = plan.segment(segment)
    return str(found.gateway if world == "net" else found.docker_gateway)


def _to_outside(plan: Plan, answers: _Answers) -> Iterator[Cell]:
    for replica in plan.replicas:
        for protocol in ("tcp", "udp"):
            for port in probed_ports(plan, protocol):
                said = answers.between(replica.service, OUTSIDE, protocol, port)
                kind: Protocol = "tcp" if protocol == "tcp" else "udp"
                yield Cell(
                    replica.name,
                    OUTSIDE,
                    "",
                    kind,
                    port,
                    said is not None,
                    said or "egress is not declared: everything else is denied",
                )
        yield Cell(replica.name, OUTSIDE, "", "icmp", 0, False, "ICMP is never declared")

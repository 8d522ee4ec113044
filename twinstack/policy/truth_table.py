"""The truth table of a policy: every question that `policy.verify` asks, with its answer. Pure.

Its cells are all pairs of replicas, this host and the outside; all ports that anything declares and
a few that nothing does; TCP, UDP, ICMP, and IPv6 between neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from twinstack.model.plan import HOST, OUTSIDE, Plan, PublishedPort, Replica
from twinstack.model.topology import WorldName
from twinstack.policy.permissions import addresses, permissions

#: TCP ports that nothing declares, probed too: ssh's, and an unassigned one.
UNDECLARED = (22, 9999)
#: UDP ports that are always probed: DNS, and an unassigned one.
UDP_PORTS = (53, 9999)
DENIED = "no flow is declared: everything else is denied"

Protocol = Literal["tcp", "udp", "icmp", "tcp6", "icmp6"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One question: may `source` open a connection to this port of `destination`?"""

    source: str  # a replica, HOST or OUTSIDE
    destination: str  # likewise
    address: str  # where to ask; "" where only the prober knows: the outside's, IPv6 link-local
    protocol: Protocol
    port: int  # 0 for ICMP
    open: bool  # as the plan expects
    why: str  # the permission's sentence, or why it is denied
    upstream: str = ""  # the replica behind a published port of the host
    segment: str = ""  # the segment of `address`, on which link-local is tried
    proxied: bool = False  # docker-proxy accepts for the service, so that only an answer counts

    @property
    def target(self) -> str:
        """Give protocol and port, as in iptables and ss."""
        return f"{self.protocol}/{self.port}" if self.port else self.protocol


def cells(plan: Plan, world: WorldName) -> tuple[Cell, ...]:
    """List every question of the truth table, with the answer that the plan expects."""
    table = _Table(plan, world)
    return (*table.to_replicas(), *table.to_host(), *table.to_published_ports(), *table.outwards())


def probed_ports(plan: Plan, protocol: Literal["tcp", "udp"]) -> tuple[int, ...]:
    """List the ports that are tried at every replica: declared ones, then undeclared ones."""
    declared = {flow.port for flow in plan.flows if flow.protocol == protocol}
    declared |= {port for replica in plan.replicas for port in replica.egress.ports(protocol)}
    if protocol == "udp":
        return tuple(sorted(declared | set(UDP_PORTS)))
    declared |= {replica.port for replica in plan.replicas}
    return tuple(dict.fromkeys((*sorted(declared), *UNDECLARED)))


class _Table:
    def __init__(self, plan: Plan, world: WorldName) -> None:
        self._plan = plan
        self._world = world
        self._published = [port for port in plan.published_ports if port.world == world]
        self._sentences: dict[tuple[str, str, str, int], str] = {
            (granted.source, granted.destination, granted.protocol, granted.port): granted.sentence
            for granted in permissions(plan, world)
        }
        self._targets: list[tuple[Protocol, int]] = [
            *(("tcp", port) for port in probed_ports(plan, "tcp")),
            *(("udp", port) for port in probed_ports(plan, "udp")),
            ("icmp", 0),
        ]

    def _permission(self, source: str, service: str, protocol: str, port: int) -> str | None:
        """Give the sentence that lets a service, HOST or OUTSIDE in, or None."""
        names = {HOST: ("host", "world"), OUTSIDE: ("world",)}.get(source, (source,))
        keys = ((name, service, protocol, port) for name in names)
        return next((self._sentences[key] for key in keys if key in self._sentences), None)

    def _segments(self, endpoint: str) -> tuple[str, ...]:
        if endpoint == HOST:
            return tuple(segment.name for segment in self._plan.segments)
        return tuple(name for name, _ in addresses(self._plan.replica(endpoint), self._world))

    def to_replicas(self) -> Iterator[Cell]:
        for source in (*(replica.name for replica in self._plan.replicas), HOST, OUTSIDE):
            service = source if source in {HOST, OUTSIDE} else self._plan.replica(source).service
            for replica in self._plan.replicas:
                if replica.name == source:
                    continue
                for number, (segment, address) in enumerate(addresses(replica, self._world)):
                    for protocol, port in self._targets:
                        granted = self._permission(service, replica.service, protocol, port)
                        is_open, why = granted is not None, granted or DENIED
                        if granted and number and source != HOST:
                            is_open, why = False, "peers use its first address, no other"
                        if granted and source == OUTSIDE and self._world == "docker":
                            is_open, why = False, "other machines come by the published port"
                        target = (str(address), protocol, port)
                        yield Cell(source, replica.name, *target, is_open, why, segment=segment)
                if source != OUTSIDE:
                    for segment in self._segments(source):
                        if segment in self._segments(replica.name):
                            yield from _link_local(source, replica.name, replica.port, segment)

    def to_host(self) -> Iterator[Cell]:
        for replica in self._plan.replicas:
            for segment, _ in addresses(replica, self._world):
                yield from self._to_gateway(replica, segment)

    def _to_gateway(self, replica: Replica, segment: str) -> Iterator[Cell]:
        gateway = str(self._plan.segment(segment).gateway_in(self._world))
        published = {port.port: port for port in reversed(self._published)}
        for port in dict.fromkeys((*(port.port for port in self._published), *UNDECLARED)):
            upstream = published[port].replica if port in published else ""
            # A container is never let in by a published port: docker-proxy would hide its address.
            granted = None
            if upstream and self._world == "net":
                granted = self._by_published_port(replica.service, published[port])
            answer = (granted is not None, granted or DENIED, upstream, segment)
            yield Cell(replica.name, HOST, gateway, "tcp", port, *answer)
        others: tuple[tuple[Protocol, int], ...] = (("udp", 53), ("icmp", 0))
        for protocol, port in others:
            yield Cell(replica.name, HOST, gateway, protocol, port, False, DENIED, segment=segment)
        yield from _link_local(replica.name, HOST, UNDECLARED[0], segment)

    def to_published_ports(self) -> Iterator[Cell]:
        for port in self._published:
            for source in (HOST, OUTSIDE):
                granted = self._by_published_port(source, port)
                if source == OUTSIDE and not port.bind.is_unspecified:
                    granted = None
                yield Cell(
                    source,
                    HOST,
                    "127.0.0.1" if source == HOST else "",
                    "tcp",
                    port.port,
                    granted is not None,
                    granted or DENIED,
                    port.replica,
                    proxied=(source, self._world) == (HOST, "docker"),
                )

    def _by_published_port(self, source: str, port: PublishedPort) -> str | None:
        service = self._plan.replica(port.replica).service
        granted = self._permission(source, service, "tcp", port.replica_port)
        return f"{granted}, by port {port.port} of this host" if granted else None

    def outwards(self) -> Iterator[Cell]:
        for replica in self._plan.replicas:
            for protocol, port in self._targets:
                granted = self._sentences.get((replica.service, OUTSIDE, protocol, port))
                why = granted or "egress is not declared: everything else is denied"
                if protocol == "icmp":
                    why = "ICMP is never declared"
                yield Cell(replica.name, OUTSIDE, "", protocol, port, granted is not None, why)


def _link_local(source: str, destination: str, port: int, segment: str) -> Iterator[Cell]:
    asked: tuple[tuple[Protocol, int], ...] = (("tcp6", port), ("icmp6", 0))
    for protocol, number in asked:
        why = "no service speaks IPv6"
        yield Cell(source, destination, "", protocol, number, False, why, segment=segment)

"""The policy as permissions: which new connections the declared flows and egress open. Pure.

Everything that no permission names is denied: between services, tiers, this host and the outside,
ICMP and IPv6 too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

from twinstack.model.plan import HOST, OUTSIDE, Plan, Replica
from twinstack.model.topology import WorldName

_TRANSPORTS: tuple[Literal["tcp", "udp"], ...] = ("tcp", "udp")
_SOURCES = {"world": "anyone outside, and this host,", "host": "this host"}


@dataclass(frozen=True, slots=True)
class Permission:
    """New connections that are open to a service's port, or to a port of the internet."""

    source: str  # a service, "world" or "host"
    destination: str  # a service, or OUTSIDE
    protocol: Literal["tcp", "udp"]
    port: int
    sentence: str  # the same in words, with the key of topology.yml that declares it

    @property
    def target(self) -> tuple[str, str, int]:
        return self.destination, self.protocol, self.port


def permissions(plan: Plan, world: WorldName) -> tuple[Permission, ...]:
    """List what the plan opens in a world."""
    return (*_flow_permissions(plan, world), *_egress_permissions(plan))


def _flow_permissions(plan: Plan, world: WorldName) -> Iterator[Permission]:
    for flow in plan.flows:
        if world not in flow.worlds:
            continue
        source = _SOURCES.get(flow.source, flow.source)
        sentence = f"{source} may connect to {flow.destination} on {flow.protocol} port {flow.port}"
        yield Permission(
            flow.source, flow.destination, flow.protocol, flow.port, f"{sentence} (flows)"
        )


def _egress_permissions(plan: Plan) -> Iterator[Permission]:
    for service in dict.fromkeys(replica.service for replica in plan.replicas):
        egress = plan.replicas_of(service)[0].egress
        for protocol in _TRANSPORTS:
            for port in egress.ports(protocol):
                sentence = f"{service} may connect out to {protocol} port {port} (egress)"
                yield Permission(service, OUTSIDE, protocol, port, sentence)


def addresses(replica: Replica, world: WorldName) -> tuple[tuple[str, IPv4Address], ...]:
    """List a replica's addresses in a world, each with its segment; peers use the first."""
    if world == "net":
        return ((replica.segment, replica.address),)
    return tuple((attached.segment, attached.address) for attached in replica.attachments)


def addresses_by_endpoint(plan: Plan, world: WorldName) -> dict[tuple[str, str], str]:
    """Map each endpoint (replica or HOST) on a segment to its own address there."""
    replicas = {
        (replica.name, segment): str(address)
        for replica in plan.replicas
        for segment, address in addresses(replica, world)
    }
    return replicas | {
        (HOST, segment.name): str(segment.gateway_in(world)) for segment in plan.segments
    }

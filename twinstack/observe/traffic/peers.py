"""Who an address is, and whether a connection was declared: by the plans of all shapes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Literal

from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.traffic import protocols as h
from twinstack.observe.traffic.packets import address_of, numbers_of

Kind = Literal["service", "host", "outside", "unknown", "local"]
Verdict = Literal["declared", "undeclared", ""]

DECLARED: Verdict = "declared"
UNDECLARED: Verdict = "undeclared"
#: The declaration speaks of TCP and UDP, from or to a service; of the rest it says nothing.
NOT_JUDGED: Verdict = ""

_REMEMBERED = 50_000
_APPLICATIONS = {
    "nginx": "HTTP",
    "asgi": "HTTP",
    "wsgi": "HTTP",
    "redis": "Redis",
    "postgres": "PostgreSQL",
}
_WELL_KNOWN = {53: "DNS", 67: "DHCP", 68: "DHCP", 80: "HTTP", 123: "NTP", 443: "TLS", 5353: "mDNS"}


@dataclass(frozen=True, slots=True)
class Peer:
    """One end of a connection. `name` is a service, host, outside or the like; `instance` which
    replica or address it is.
    """

    name: str
    kind: Kind
    instance: str
    world: WorldName | None = None


NOBODY = Peer("–", "local", "–")


class PeerDirectory:
    """Gives ends their names. `host` are this host's other addresses, where they are known."""

    def __init__(
        self, plans: Sequence[Plan], host: Iterable[IPv4Address | IPv6Address] = ()
    ) -> None:
        self._plans = tuple(plans)
        self._known: dict[tuple[int, int], Peer] = {}
        self._subnets: list[tuple[IPv4Network, WorldName]] = []
        self._found: dict[tuple[int, int], Peer] = {}
        for address in host:
            self._know(address, Peer("host", "host", str(address)))
        for plan in plans:
            for segment in plan.segments:
                self._know(segment.gateway, Peer("host", "host", str(segment.gateway), "net"))
                self._know(
                    segment.docker_gateway,
                    Peer("host", "host", str(segment.docker_gateway), "docker"),
                )
                self._subnets += [(segment.subnet, "net"), (segment.docker_subnet, "docker")]
            for replica in plan.replicas:
                self._know(replica.address, Peer(replica.service, "service", replica.name, "net"))
                for place in replica.attachments:
                    self._know(
                        place.address, Peer(replica.service, "service", replica.name, "docker")
                    )
        self.ports = tuple(
            sorted(
                {one.port for plan in plans for one in plan.replicas}
                | {door.port for plan in plans for door in plan.published_ports}
                | set(_WELL_KNOWN)
            )
        )
        self._applications = dict(_WELL_KNOWN)
        for plan in plans:
            self._applications |= {one.port: _APPLICATIONS[one.runtime] for one in plan.replicas}
            self._applications |= {door.port: "HTTP" for door in plan.published_ports}

    def peer(self, high: int, low: int) -> Peer:
        """Name an address given by its two numbers."""
        found = self._known.get((high, low)) or self._found.get((high, low))
        if found is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            found = self._found[high, low] = self._look(high, low)
        return found

    def application(self, port: int) -> str:
        """Say what a server's port is for; empty when nothing is known of it."""
        return self._applications.get(port, "")

    def verdict(self, client: Peer, server: Peer, protocol: int, port: int) -> Verdict:
        """Hold a connection against the declared flows.

        `world` in the declaration is everybody who is none of the services: this host too.
        """
        if protocol not in (h.TCP, h.UDP) or "service" not in (client.kind, server.kind):
            return NOT_JUDGED
        transport = "tcp" if protocol == h.TCP else "udp"
        if server.kind == "host":
            server, port = self._behind_door(server, port)
        if server.kind == "service":
            sources = {client.name} if client.kind == "service" else {"world"}
            if client.kind == "host":
                sources.add("host")
            for plan in self._plans:
                for flow in plan.flows:
                    if (
                        flow.source in sources
                        and flow.destination == server.name
                        and flow.protocol == transport
                        and flow.port == port
                        and server.world in flow.worlds
                    ):
                        return DECLARED
            return UNDECLARED
        if server.kind == "outside":
            for plan in self._plans:
                for replica in plan.replicas_of(client.name):
                    if port in (replica.egress.tcp if transport == "tcp" else replica.egress.udp):
                        return DECLARED
        return NOT_JUDGED if server.kind == "local" else UNDECLARED

    def _behind_door(self, server: Peer, port: int) -> tuple[Peer, int]:
        """Give what a port of the host leads to, by the plan."""
        for plan in self._plans:
            for door in plan.published_ports:
                if door.port == port and (server.world is None or door.world == server.world):
                    replica = plan.replica(door.replica)
                    return Peer(replica.service, "service", replica.name, door.world), replica.port
        return server, port

    def _know(self, address: IPv4Address | IPv6Address, end: Peer) -> None:
        self._known.setdefault(numbers_of(address), end)

    def _look(self, high: int, low: int) -> Peer:
        if not high and not low:
            return NOBODY
        address = address_of(high, low)
        text = str(address)
        if address.is_loopback:
            return Peer("loopback", "local", text)
        if address.is_multicast or text == "255.255.255.255":
            return Peer("multicast", "local", text)
        if address.is_unspecified:
            return Peer("unspecified", "local", text)
        if isinstance(address, IPv4Address):
            for subnet, world in self._subnets:
                if address in subnet:
                    name = "broadcast" if address == subnet.broadcast_address else "unknown"
                    return Peer(name, "local" if name == "broadcast" else "unknown", text, world)
        elif address.is_link_local:
            return Peer("link-local", "local", text)
        return Peer("outside", "outside", text)

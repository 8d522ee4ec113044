"""Who an address is, and whether a connection is declared: by the plans of all shapes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from socket import IPPROTO_TCP, IPPROTO_UDP
from typing import Literal

from twinstack.model.plan import HOST, Plan
from twinstack.model.topology import WORLDS, WorldName
from twinstack.observe.traffic.packets import address_of, numbers_of
from twinstack.policy.permissions import Permission, permissions

Kind = Literal["service", "host", "outside", "unknown", "local"]
Verdict = Literal["declared", "undeclared", ""]

DECLARED: Verdict = "declared"
UNDECLARED: Verdict = "undeclared"
#: Flows are TCP and UDP, from or to a service; the topology declares nothing about the rest.
NOT_JUDGED: Verdict = ""

_MAX_CACHED = 50_000
_APPLICATIONS = {
    "nginx": "HTTP",
    "asgi": "HTTP",
    "wsgi": "HTTP",
    "redis": "Redis",
    "postgres": "PostgreSQL",
}
_WELL_KNOWN = {53: "DNS", 67: "DHCP", 68: "DHCP", 80: "HTTP", 123: "NTP", 443: "TLS", 5353: "mDNS"}


@dataclass(frozen=True, slots=True)
class NamedPeer:
    """One end of a connection."""

    name: str  # the service, host, outside or the like
    kind: Kind
    instance: str  # the replica, or the address
    world: WorldName | None = None


NO_PEER = NamedPeer("–", "local", "–")


class PeerDirectory:
    """Names peers by address. `host`: the host's outer addresses, where they are known."""

    def __init__(
        self, plans: Sequence[Plan], host: Iterable[IPv4Address | IPv6Address] = ()
    ) -> None:
        self._plans = tuple(plans)
        self._known: dict[tuple[int, int], NamedPeer] = {}
        self._subnets: list[tuple[IPv4Network, WorldName]] = []
        self._cache: dict[tuple[int, int], NamedPeer] = {}
        self._applications = dict(_WELL_KNOWN)
        self._open = {
            (opened.source, *opened.target, world): opened
            for plan in plans
            for world in WORLDS
            for opened in permissions(plan, world)
        }
        for address in host:
            self._know_host(address)
        for plan in plans:
            for segment in plan.segments:
                self._know_host(segment.gateway, "net")
                self._know_host(segment.docker_gateway, "docker")
                self._subnets += [(segment.subnet, "net"), (segment.docker_subnet, "docker")]
            for replica in plan.replicas:
                peer = NamedPeer(replica.service, "service", replica.name, "net")
                self._know(replica.address, peer)
                for attachment in replica.attachments:
                    self._know(attachment.address, replace(peer, world="docker"))
                self._applications[replica.port] = _APPLICATIONS[replica.runtime]
            self._applications |= {published.port: "HTTP" for published in plan.published_ports}
        #: Ports by which the serving end of a connection is recognised.
        self.server_ports = tuple(sorted(self._applications))

    def peer(self, high: int, low: int) -> NamedPeer:
        """Name an address, given by its two numbers."""
        peer = self._known.get((high, low)) or self._cache.get((high, low))
        if peer is None:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            peer = self._cache[high, low] = self._classify(high, low)
        return peer

    def application(self, port: int) -> str:
        """Name what a server's port is for; empty when that is not known."""
        return self._applications.get(port, "")

    def verdict(self, client: NamedPeer, server: NamedPeer, protocol: int, port: int) -> Verdict:
        """Compare a connection with the declared flows."""
        if protocol not in (IPPROTO_TCP, IPPROTO_UDP):
            return NOT_JUDGED
        if "service" not in (client.kind, server.kind) or server.kind == "local":
            return NOT_JUDGED
        return DECLARED if self.permission(client, server, protocol, port) else UNDECLARED

    def permission(
        self, client: NamedPeer, server: NamedPeer, protocol: int, port: int
    ) -> Permission | None:
        """Give what declares a connection; None: nothing does.

        `world` in a flow is everybody but the services, the host included.
        """
        transport = "tcp" if protocol == IPPROTO_TCP else "udp"
        if server.kind == "host":
            server, port = self._behind_published_port(server, port)
        sources = {"service": (client.name,), "host": (HOST, "world")}.get(client.kind, ("world",))
        target = (server.name, transport, port, server.world or "net")  # outside: alike in both
        found = (self._open.get((source, *target)) for source in sources)
        return next(filter(None, found), None)

    def _behind_published_port(self, server: NamedPeer, port: int) -> tuple[NamedPeer, int]:
        for plan in self._plans:
            for published in plan.published_ports:
                if published.port == port and server.world in (None, published.world):
                    replica = plan.replica(published.replica)
                    peer = NamedPeer(replica.service, "service", replica.name, published.world)
                    return peer, replica.port
        return server, port

    def _know_host(
        self, address: IPv4Address | IPv6Address, world: WorldName | None = None
    ) -> None:
        self._know(address, NamedPeer("host", "host", str(address), world))

    def _know(self, address: IPv4Address | IPv6Address, peer: NamedPeer) -> None:
        self._known.setdefault(numbers_of(address), peer)

    def _classify(self, high: int, low: int) -> NamedPeer:
        """Name an address that no plan has."""
        if not high and not low:
            return NO_PEER
        address = address_of(high, low)
        text = str(address)
        if address.is_loopback:
            return NamedPeer("loopback", "local", text)
        if address.is_multicast or text == "255.255.255.255":
            return NamedPeer("multicast", "local", text)
        if address.is_unspecified:
            return NamedPeer("unspecified", "local", text)
        if isinstance(address, IPv4Address):
            for subnet, world in self._subnets:
                if address == subnet.broadcast_address:
                    return NamedPeer("broadcast", "local", text, world)
                if address in subnet:
                    return NamedPeer("unknown", "unknown", text, world)
        elif address.is_link_local:
            return NamedPeer("link-local", "local", text)
        return NamedPeer("outside", "outside", text)

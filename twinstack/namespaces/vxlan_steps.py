"""What joins the bridges of several hosts, as steps: tunnels, who is behind which, routes; pure.

A tunnel is a bridge port that wraps a frame in UDP and sends it to the host behind which its
destination is. Nothing is learned and nothing unknown is flooded: the entries are all there are.
`tunneling` does these steps. Source: RFC 7348, ip-link(8), bridge(8), ip-neighbour(8).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from twinstack.namespaces.facts import Facts, ForwardingFacts

#: The MAC of an entry for frames to everybody: each of its hosts is sent a copy.
EVERYBODY = "00:00:00:00:00:00"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """Make a segment's VXLAN a port of its bridge.

    `df`: an outer packet too large for the underlay is refused, never cut in pieces. The port
    answers ARP for whom it knows, learns nothing, and passes on nothing to a MAC it does not know.
    Units: mtu in bytes, of the inner packet. Raises: NotOurs if the name is somebody else's.
    Source: RFC 7348; ip-link(8). Same as: ip link add NAME type vxlan id VNI ….
    """

    link: str
    bridge: str
    vni: int
    local: IPv4Address
    port: int
    mtu: int
    mark: str
    group: int

    @property
    def name(self) -> str:
        return f"tunnel {self.link}"

    @property
    def commands(self) -> tuple[str, ...]:
        kind = f"vxlan id {self.vni} local {self.local} dstport {self.port} nolearning df set"
        return (
            f"ip link add name {self.link} mtu {self.mtu} group {self.group} type {kind}",
            f"ip link set dev {self.link} addrgenmode none",
            f"ip link set dev {self.link} alias {self.mark} master {self.bridge} up",
            (
                f"bridge link set dev {self.link}"
                " learning off flood off mcast_flood off neigh_suppress on"
            ),
        )

    def difference(self, facts: Facts) -> str | None:
        link = facts.links.get(self.link)
        if link is None:
            return "is absent"
        there = link.tunnel
        if there is None:
            return f"is a {link.kind}"
        if (there.vni, there.local, there.port) != (self.vni, str(self.local), self.port):
            return f"has VNI {there.vni}, from {there.local} to port {there.port}"
        if not there.df or there.learning:
            return "would learn by itself" if there.learning else "would be cut in pieces"
        if not link.up:
            return "is down"
        if link.mtu != self.mtu:
            return f"has mtu {link.mtu}"
        if (link.alias, link.group) != (self.mark, self.group):
            return "lacks our mark or its group"
        if link.master != self.bridge:
            return f"hangs on {link.master or 'no bridge'}"
        if not link.quiet_port:
            return "its port learns, or passes on what it does not know"
        return "would take IPv6 addresses" if link.autoconfigures_ipv6 else None


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Say which MAC is behind which host, and which address has which MAC: nobody need ask.

    `remote` pairs each MAC with the host it is behind, EVERYBODY with each other host;
    `neighbours` pairs each address of the segment with its MAC.
    Source: bridge(8), ip-neighbour(8). Same as: bridge fdb replace MAC dev TUNNEL dst HOST self.
    """

    link: str
    bridge: str
    remote: frozenset[tuple[str, str]]
    neighbours: frozenset[tuple[str, str]]

    @property
    def name(self) -> str:
        return f"entries {self.link}"

    @property
    def ports(self) -> frozenset[str]:
        """Give the MACs that the bridge finds behind the tunnel."""
        return frozenset(mac for mac, _ in self.remote if mac != EVERYBODY)

    @property
    def commands(self) -> tuple[str, ...]:
        return (
            *(
                f"bridge fdb {'append' if mac == EVERYBODY else 'replace'} {mac}"
                f" dev {self.link} dst {host} self permanent"
                for mac, host in sorted(self.remote)
            ),
            *(
                f"bridge fdb replace {mac} dev {self.link} master static"
                for mac in sorted(self.ports)
            ),
            *(
                f"ip neighbour replace {address} lladdr {mac} dev {self.bridge} nud permanent"
                for address, mac in sorted(self.neighbours)
            ),
        )

    def difference(self, facts: Facts) -> str | None:
        there = facts.forwarding.get(self.link, ForwardingFacts())
        parts = (
            ("forwarding", there.remote, self.remote),
            ("port", there.ports, self.ports),
            ("neighbour", there.neighbours, self.neighbours),
        )
        told = [
            f"{sign}{len(some)} {word}"
            for word, found, wanted in parts
            for sign, some in (("misses ", wanted - found), ("has too much: ", found - wanted))
            if some
        ]
        return ", ".join(told) or None


@dataclass(frozen=True, slots=True)
class SourceRoute:
    """Ask a segment from this host's own address: the gateway's is every host's, and the answer
    to it would go to whichever host is nearest to who answers.

    Source: ip-route(8). Same as: ip route replace SUBNET dev BRIDGE src ADDRESS.
    """

    bridge: str
    subnet: IPv4Network
    source: IPv4Address

    @property
    def name(self) -> str:
        return f"route {self.subnet}"

    @property
    def commands(self) -> tuple[str, ...]:
        how = f"dev {self.bridge} proto static scope link src {self.source}"
        return (f"ip route replace {self.subnet} {how}",)

    def difference(self, facts: Facts) -> str | None:
        found = facts.sources.get((str(self.subnet), self.bridge))
        return None if found == str(self.source) else f"asks from {found or 'nowhere'}"


@dataclass(frozen=True, slots=True)
class Mounts:
    """Give a namespace that is a host its own mounts, pinned: a /run that nobody else sees.

    Source: mount_namespaces(7). Same as: nsenter --net=PIN unshare --mount=FILE ….
    """

    namespace: str
    pin: str

    @property
    def name(self) -> str:
        return f"mounts {self.namespace}"

    @property
    def commands(self) -> tuple[str, ...]:
        return (
            f"touch {self.pin}",
            (
                f"nsenter --net=/run/netns/{self.namespace} unshare --mount={self.pin}"
                " sh -c 'umount --recursive /run; mount -t tmpfs -o mode=755 tmpfs /run'"
            ),
        )

    def difference(self, facts: Facts) -> str | None:
        if self.namespace not in facts.mounts:
            return "are absent"
        # A namespace made anew wants mounts made anew: what the old ones hold is the old one's.
        return None if self.namespace in facts.namespaces else "are those of an older namespace"

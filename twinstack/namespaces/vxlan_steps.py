"""Steps that join the bridges of several hosts: VXLAN links, FDB entries, routes, mounts; pure.

A VXLAN link is a bridge port that wraps a frame in UDP and sends it to the host behind which its
destination is. It learns nothing and floods nothing unknown: the declared entries are all there
are. `apply_links` holds the effects. Source: RFC 7348, ip-link(8), bridge(8), ip-neighbour(8).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from twinstack.linux.links import VxlanFacts
from twinstack.linux.neigh import ALL_ZEROS_MAC, NeighbourEntry, Table
from twinstack.namespaces.facts import NetFacts, link_difference
from twinstack.reconcile import Described

#: What an entry of each table is called, and the command that puts it.
_TABLES: Mapping[Table, tuple[str, str]] = {
    "vxlan": ("forwarding", "bridge fdb {1} {0.mac} dev {0.link} dst {0.to} self permanent"),
    "bridge": ("port", "bridge fdb replace {0.mac} dev {0.link} master static"),
    "neighbour": (
        "neighbour",
        "ip neighbour replace {0.to} lladdr {0.mac} dev {0.link} nud permanent",
    ),
}


@dataclass(frozen=True, slots=True)
class VxlanPort(Described):
    """Make a segment's VXLAN a port of its bridge.

    With `df set` an outer packet too large for the underlay is refused, never fragmented. The port
    answers ARP for known neighbours, learns nothing, and forwards nothing to unknown MACs.
    Units: mtu in bytes, of the inner packet. Raises: NotOurs if the name is taken by another owner.
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
    NAME = "tunnel {0.link}"
    COMMANDS = (
        "ip link add name {0.link} mtu {0.mtu} group {0.group} type vxlan {0.options}",
        "ip link set dev {0.link} addrgenmode none",
        "ip link set dev {0.link} alias {0.mark} master {0.bridge} up",
        "bridge link set dev {0.link} learning off flood off mcast_flood off neigh_suppress on",
    )

    @property
    def identity(self) -> VxlanFacts:
        """Give what cannot be changed on a link."""
        return VxlanFacts(self.vni, str(self.local), self.port, df=True, learning=False)

    @property
    def options(self) -> str:
        return f"id {self.vni} local {self.local} dstport {self.port} nolearning df set"

    def difference(self, facts: NetFacts) -> str | None:
        link = facts.links.get(self.link)
        if link and link.vxlan is None:
            return f"is a {link.kind}"
        if link and link.vxlan and link.vxlan != self.identity:
            vxlan, switches = link.vxlan, {True: "on", False: "off"}
            has = f"has VNI {vxlan.vni}, from {vxlan.local} to port {vxlan.port}"
            return f"{has}, df {switches[vxlan.df]}, learning {switches[vxlan.learning]}"
        if reason := link_difference(link, self.mtu, self.mark, self.group):
            return reason
        if link and link.master != self.bridge:
            return f"is a port of {link.master or 'no bridge'}"
        quiet = link is None or link.static_port
        return None if quiet else "its port learns, floods, or answers no ARP"


@dataclass(frozen=True, slots=True)
class VxlanEntries(Described):
    """Declare which MAC is behind which host, and which address has which MAC: no ARP is needed.

    Source: bridge(8), ip-neighbour(8). Same as: bridge fdb replace MAC dev LINK dst HOST self.
    """

    link: str
    bridge: str
    remote: frozenset[tuple[str, str]]  # MAC → the host it is behind; all zeros → each other host
    neighbours: frozenset[tuple[str, str]]  # each address of the segment → its MAC
    NAME = "entries {0.link}"

    @property
    def entries(self) -> frozenset[NeighbourEntry]:
        """List them all. A MAC behind another host is behind the VXLAN's port for the bridge."""
        macs = {mac for mac, _ in self.remote if mac != ALL_ZEROS_MAC}
        return frozenset(
            (
                *(NeighbourEntry(self.link, "vxlan", mac, host) for mac, host in self.remote),
                *(NeighbourEntry(self.link, "bridge", mac) for mac in macs),
                *(NeighbourEntry(self.bridge, "neighbour", mac, to) for to, mac in self.neighbours),
            )
        )

    def current(self, present: Iterable[NeighbourEntry]) -> frozenset[NeighbourEntry]:
        """Keep, of all the host's static entries, those of this link and its bridge."""
        tables = {(self.link, "vxlan"), (self.link, "bridge"), (self.bridge, "neighbour")}
        return frozenset(entry for entry in present if (entry.link, entry.table) in tables)

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(
            command.format(entry, "append" if entry.mac == ALL_ZEROS_MAC else "replace")
            for table, (_, command) in _TABLES.items()
            for entry in sorted(self.entries)
            if entry.table == table
        )

    def difference(self, facts: NetFacts) -> str | None:
        current = self.current(facts.neighbours)
        missing, surplus = _counted(self.entries - current), _counted(current - self.entries)
        reasons = [f"misses {missing}"] if missing else []
        reasons += [f"has too many: {surplus}"] if surplus else []
        return "; ".join(reasons) or None


def _counted(entries: Iterable[NeighbourEntry]) -> str:
    counts = Counter(entry.table for entry in entries)
    kinds = ((counts[table], kind) for table, (kind, _) in _TABLES.items())
    return ", ".join(f"{count} {kind}" for count, kind in kinds if count)


@dataclass(frozen=True, slots=True)
class SourceRoute(Described):
    """Reach a segment from this host's own address: all hosts share the gateway's, and a reply to
    it would go to the host nearest to the replier.

    Source: ip-route(8). Same as: ip route replace SUBNET dev BRIDGE src ADDRESS.
    """

    bridge: str
    subnet: IPv4Network
    source: IPv4Address
    NAME = "route {0.subnet}"
    COMMANDS = (
        "ip route replace {0.subnet} dev {0.bridge} proto static scope link src {0.source}",
    )

    def difference(self, facts: NetFacts) -> str | None:
        source = facts.routes.get((str(self.subnet), self.bridge))
        return None if source == str(self.source) else f"has source {source or 'none'}"


@dataclass(frozen=True, slots=True)
class HostMounts(Described):
    """Give a namespace that is a host its own pinned mounts, with a private /run.

    Source: mount_namespaces(7). Same as: nsenter --net=PIN unshare --mount=FILE ….
    """

    namespace: str
    pin: str
    NAME = "mounts {0.namespace}"
    COMMANDS = (
        "touch {0.pin}",
        (
            "nsenter --net=/run/netns/{0.namespace} unshare --mount={0.pin}"
            " sh -c 'umount --recursive /run; mount -t tmpfs -o mode=755 tmpfs /run'"
        ),
    )

    def difference(self, facts: NetFacts) -> str | None:
        if self.namespace not in facts.owned.mounts:
            return "are absent"
        # A new namespace needs new mounts: the old ones hold what was the old one's.
        return None if self.namespace in facts.namespaces else "are those of an older namespace"

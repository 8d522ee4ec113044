"""Groups of tracked connections, and what they amount to in the flat world, for tests."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address

from tests.support import craft
from tests.support.project import ROOT
from twinstack.linux.conntrack import ConntrackStats
from twinstack.model.plan import resolve
from twinstack.model.topology import WorldName
from twinstack.model.topology_file import load
from twinstack.observe.connections.counts import ConnectionGroup, WorldConnections
from twinstack.observe.connections.report import ConntrackTable, NamespaceSockets, ServicePair

PLAN = resolve(load(ROOT / "topology.yml"), "flat")
TABLE = ConntrackTable(10, 1000, 10, 10, ConntrackStats(0, 0, 0))
TCP, UDP = 6, 17


def raw(address: str) -> bytes:
    return ip_address(address).packed


def group(
    source: str,
    to: str,
    port: int,
    *,
    state: str = "ESTABLISHED",
    by: str = "",
    becomes: str = "",
    new_port: int = 0,
    protocol: int = TCP,
) -> ConnectionGroup:
    return ConnectionGroup(
        protocol,
        state,
        raw(source),
        raw(to),
        port,
        raw(by or source),
        raw(becomes or to),
        new_port or port,
    )


def connections(counts: dict[ConnectionGroup, int], world: WorldName = "net") -> WorldConnections:
    return WorldConnections(Counter(counts), craft.peers(), PLAN, world)


def pair(states: dict[str, int], server: str = "nginx-lb") -> ServicePair:
    return ServicePair("outside", server, "TCP", 80, sum(states.values()), states, "declared")


def inside(
    replica: str = "nginx-lb", states: dict[str, int] | None = None, **words: object
) -> NamespaceSockets:
    plain = NamespaceSockets(replica, replica, states or {}, (), 1000, 100, "", 0, 0)
    return replace(plain, **words)  # type: ignore[arg-type]

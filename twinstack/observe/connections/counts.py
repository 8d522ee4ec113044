"""Count conntrack entries by service, state, translation and source, and sockets by state. Pure.

Client ports are left out, so the counts grow with the number of peers, not of connections; only a
flood from made-up addresses makes them as long as the kernel's own table.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar

from twinstack.linux.conntrack import ConntrackEntry
from twinstack.linux.sock_diag import TcpSocket
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.connections import report
from twinstack.observe.traffic.packets import address_of, numbers_of
from twinstack.observe.traffic.peers import NamedPeer, PeerDirectory
from twinstack.observe.traffic.protocols import protocol_name

#: TCP's states before both ends have agreed, as connection tracking names them.
HALF_OPEN = ("SYN_SENT", "SYN_SENT2", "SYN_RECV")
Key = TypeVar("Key", bound=tuple[str | int, ...])


@dataclass(frozen=True, slots=True)
class ConnectionGroup:
    """Connections that differ in nothing but the client's port."""

    protocol: int
    state: str
    source: bytes
    destination: bytes  # as the client addressed it
    port: int
    new_source: bytes  # after NAT
    new_destination: bytes
    new_port: int


def group_of(entry: ConntrackEntry) -> ConnectionGroup:
    """Leave out the client's port."""
    original, reply = entry.original, entry.reply
    return ConnectionGroup(
        entry.protocol,
        entry.state,
        original.source,
        original.destination,
        original.destination_port,
        reply.destination,
        reply.source,
        reply.source_port,
    )


class WorldEnds:
    """Tells which connections of the host's table are a world's, and names their ends."""

    def __init__(self, directory: PeerDirectory, plan: Plan, world: WorldName) -> None:
        self._directory = directory
        self._world = world
        self._ports = {port.port for port in plan.published_ports if port.world == world}
        self._peers: dict[bytes, NamedPeer] = {}

    def is_ours(self, group: ConnectionGroup) -> bool:
        """Tell whether an end, before or after NAT, is the world's."""
        ends = (group.source, group.destination, group.new_source, group.new_destination)
        if any(self._peer(raw).world == self._world for raw in ends):
            return True
        # docker-proxy listens on the host's published port: nothing is translated then.
        return group.port in self._ports and self._peer(group.destination).kind in {"local", "host"}

    def named(self, raw: bytes) -> NamedPeer:
        """Name an end; in the host's own table a loopback address is the host."""
        peer = self._peer(raw)
        return NamedPeer("host", "host", peer.instance) if peer.name == "loopback" else peer

    def _peer(self, raw: bytes) -> NamedPeer:
        if raw not in self._peers:
            self._peers[raw] = self._directory.peer(*numbers(raw))
        return self._peers[raw]


class WorldConnections:
    """The groups of connections that belong to a world of a plan."""

    def __init__(
        self,
        counts: Mapping[ConnectionGroup, int],
        directory: PeerDirectory,
        plan: Plan,
        world: WorldName,
    ) -> None:
        self._directory = directory
        self._named = (ends := WorldEnds(directory, plan, world)).named
        self._counts = {group: count for group, count in counts.items() if ends.is_ours(group)}
        self.total = sum(self._counts.values())

    def pairs(self) -> tuple[report.ServicePair, ...]:
        """List which services are connected, most connections first."""
        states: defaultdict[tuple[str, str, str, int], Counter[str]] = defaultdict(Counter)
        verdicts = {}
        for group, count in self._counts.items():
            client, server = self._named(group.source), self._named(group.new_destination)
            key = (client.name, server.name, protocol_name(group.protocol), group.new_port)
            states[key][group.state] += count
            verdicts[key] = self._directory.verdict(client, server, group.protocol, group.new_port)
        totals = Counter({key: counts.total() for key, counts in states.items()})
        return tuple(
            report.ServicePair(*key, count, dict(sorted(states[key].items())), verdicts[key])
            for key, count in _most_first(totals)
        )

    def translations(self) -> tuple[report.Translation, ...]:
        """List what NAT changed, most connections first."""
        counts: Counter[tuple[str, str, str, str, str, str, str]] = Counter()
        for group, count in self._counts.items():
            destination = written(group.destination, group.port)
            new_destination = written(group.new_destination, group.new_port)
            kinds = ["DNAT"] if destination != new_destination else []
            kinds += ["SNAT"] if group.source != group.new_source else []
            if kinds:
                ends = self._named(group.source).name, self._named(group.new_destination).name
                sources = written(group.source), written(group.new_source)
                key = (sources[0], destination, sources[1], new_destination)
                counts["+".join(kinds), *ends, *key] += count
        return tuple(report.Translation(*key, count) for key, count in _most_first(counts))

    def sources(self) -> tuple[report.ClientSource, ...]:
        """List who opened connections, most first."""
        opened: Counter[tuple[str, str]] = Counter()
        half: Counter[tuple[str, str]] = Counter()
        for group, count in self._counts.items():
            client = self._named(group.source)
            opened[client.name, client.instance] += count
            half[client.name, client.instance] += count if group.state in HALF_OPEN else 0
        return tuple(
            report.ClientSource(*key, count, half[key]) for key, count in _most_first(opened)
        )


def _most_first(counts: Counter[Key]) -> list[tuple[Key, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def count_sockets(
    replica: str,
    service: str,
    sockets: Sequence[TcpSocket],
    tracked: int,
    time_wait_limit: int | None,
    local_ports: int | None,
) -> report.NamespaceSockets:
    """Count a namespace's sockets by state, port and peer."""
    listening = {one.local_port for one in sockets if one.state == "LISTEN"}
    queues: dict[int, tuple[int, int]] = {}
    time_wait: Counter[tuple[bytes, int]] = Counter()
    for one in sockets:
        if one.state == "LISTEN":  # a port may have a listener for each worker: the fullest
            fullest = max(queues.get(one.local_port, (-1, 0)), (one.recv_q, one.send_q))
            queues[one.local_port] = fullest
        elif one.state == "TIME_WAIT" and one.local_port not in listening:
            time_wait[one.peer, one.peer_port] += 1  # an outgoing one keeps a local port
    busiest, most = max(time_wait.items(), key=lambda item: item[1], default=(None, 0))
    return report.NamespaceSockets(
        replica=replica,
        service=service,
        states=dict(sorted(Counter(one.state for one in sockets).items())),
        listening=tuple(report.AcceptQueue(port, *queues[port]) for port in sorted(queues)),
        time_wait_limit=time_wait_limit,
        local_ports=local_ports,
        busiest=written(*busiest) if busiest else "",
        to_busiest=most,
        tracked=tracked,
    )


def port_count(lowest: int | None = None, highest: int | None = None) -> int | None:
    """Count the local ports of net.ipv4.ip_local_port_range, from which a client may choose."""
    return None if lowest is None or highest is None else highest - lowest + 1


def numbers(raw: bytes) -> tuple[int, int]:
    """Give the two numbers that `PeerDirectory` knows an address by."""
    return numbers_of(ip_address(raw))


def written(raw: bytes, port: int = 0) -> str:
    """Write an address, and its port unless it is 0."""
    address = str(address_of(*numbers(raw)))
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

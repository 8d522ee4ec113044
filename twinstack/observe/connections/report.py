"""What is known of a world's connections: plain data, as `invoke conntrack --json` prints it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass

from twinstack.linux.conntrack import ConntrackStats
from twinstack.model.topology import WorldName
from twinstack.observe.traffic.peers import Verdict


@dataclass(frozen=True, slots=True)
class ConntrackTable:
    """The host's connection tracking table."""

    entries: int  # the kernel's own count
    limit: int | None
    listed: int  # how many were read
    of_world: int  # how many of these are this world's
    pressure: ConntrackStats


class CountedStates:
    """Counts by state; for the classes below."""

    states: Mapping[str, int]
    __slots__ = ()

    def count(self, *states: str) -> int:
        """Give how many are in one of the states."""
        return sum(self.states.get(state, 0) for state in states)


@dataclass(frozen=True, slots=True)
class ServicePair(CountedStates):
    """Connections from a service to a port of another."""

    client: str
    server: str
    protocol: str
    port: int
    connections: int
    states: Mapping[str, int]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Translation:
    """Connections to which NAT does the same."""

    kind: str  # DNAT, SNAT or DNAT+SNAT
    client: str
    server: str
    source: str
    destination: str
    new_source: str
    new_destination: str
    connections: int


@dataclass(frozen=True, slots=True)
class ClientSource:
    """Who opened connections: a replica, or an address."""

    name: str
    instance: str
    connections: int
    half_open: int  # not yet established


@dataclass(frozen=True, slots=True)
class AcceptQueue:
    """A listening socket and its connections that wait to be accepted."""

    port: int
    waiting: int
    room: int


@dataclass(frozen=True, slots=True)
class NamespaceSockets(CountedStates):
    """A namespace's TCP sockets, as sock_diag lists them."""

    replica: str
    service: str
    states: Mapping[str, int]
    listening: tuple[AcceptQueue, ...]
    time_wait_limit: int | None  # net.ipv4.tcp_max_tw_buckets
    local_ports: int | None  # how many ports a client may choose from
    busiest: str  # the peer that most TIME_WAIT sockets connected to
    to_busiest: int  # how many those are
    tracked: int  # connections that the namespace tracks itself: 0 in most


@dataclass(frozen=True, slots=True)
class ConntrackEvents:
    """The kernel's events on the whole table during some time."""

    seconds: float
    new: int
    ended: int
    lost: int  # how often the socket's buffer overran: then the counts are too low

    def __add__(self, more: ConntrackEvents) -> ConntrackEvents:
        return ConntrackEvents(*map(sum, zip(astuple(self), astuple(more), strict=True)))

    def per_s(self, count: int) -> float:
        """Divide a count by the time."""
        return count / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class ConnectionWarning:
    """A rule of docs/connections.md that applies, and what was found."""

    rule: str
    says: str


@dataclass(frozen=True, slots=True)
class Connections:
    """A snapshot of a world's connections."""

    world: WorldName
    shape: str
    table: ConntrackTable
    pairs: tuple[ServicePair, ...]
    translations: tuple[Translation, ...]
    sources: tuple[ClientSource, ...]
    sockets: tuple[NamespaceSockets, ...]
    absent: tuple[str, ...]  # replicas without a namespace to look into
    events: ConntrackEvents | None
    warnings: tuple[ConnectionWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectionSnapshots:
    """A snapshot of each world's connections, at one moment."""

    worlds: tuple[Connections, ...]

"""What is known of a world's connections: plain data, as `invoke conntrack --json` prints it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twinstack.linux.conntrack import Pressure
from twinstack.model.topology import WorldName
from twinstack.observe.traffic.peers import Verdict


@dataclass(frozen=True, slots=True)
class Table:
    """The host's connection tracking table.

    `entries` is the kernel's own count, `limit` how many there may be, `listed` how many were
    read, `of_world` how many of these are this world's.
    """

    entries: int
    limit: int | None
    listed: int
    of_world: int
    pressure: Pressure


@dataclass(frozen=True, slots=True)
class Pair:
    """Connections from a service to a service's port. `states` counts them by state."""

    client: str
    server: str
    protocol: str
    port: int
    connections: int
    states: Mapping[str, int]
    verdict: Verdict

    def count(self, *states: str) -> int:
        """Give how many are in one of the states."""
        return sum(self.states.get(state, 0) for state in states)


@dataclass(frozen=True, slots=True)
class Translation:
    """Connections that NAT translates alike: from and to, before and after."""

    kind: str
    client: str
    server: str
    source: str
    destination: str
    new_source: str
    new_destination: str
    connections: int


@dataclass(frozen=True, slots=True)
class Source:
    """Who opened connections: a replica, or an address. `half_open`: not yet established."""

    name: str
    instance: str
    connections: int
    half_open: int


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket: `waiting` connections wait to be accepted, of `room` at most."""

    port: int
    waiting: int
    room: int


@dataclass(frozen=True, slots=True)
class Sockets:
    """A namespace's TCP sockets, by state, as sock_diag tells them.

    `time_wait_limit` and `local_ports` are what the namespace allows; `busiest` is the peer that
    most of its TIME_WAIT sockets went out to, `to_busiest` how many those are. `tracked` counts
    the connections that the namespace tracks for itself: 0 in most.
    """

    replica: str
    service: str
    states: Mapping[str, int]
    listening: tuple[Listener, ...]
    time_wait_limit: int | None
    local_ports: int | None
    busiest: str
    to_busiest: int
    tracked: int

    def count(self, *states: str) -> int:
        """Give how many are in one of the states."""
        return sum(self.states.get(state, 0) for state in states)


@dataclass(frozen=True, slots=True)
class Events:
    """What the kernel told while somebody listened, of the whole table.

    `lost`: how often it had more to tell than there was room for; then the counts are too low.
    Units: seconds; new and ended in connections.
    """

    seconds: float
    new: int
    ended: int
    lost: int

    @property
    def new_per_s(self) -> float:
        return self.new / self.seconds if self.seconds else 0.0

    @property
    def ended_per_s(self) -> float:
        return self.ended / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Concern:
    """Something to see to: `rule` is its name in docs/connections.md, `says` what was found."""

    rule: str
    says: str


@dataclass(frozen=True, slots=True)
class Connections:
    """One look at a world. `absent` are its replicas that are not there to be asked."""

    world: WorldName
    shape: str
    table: Table
    pairs: tuple[Pair, ...]
    translations: tuple[Translation, ...]
    sources: tuple[Source, ...]
    sockets: tuple[Sockets, ...]
    absent: tuple[str, ...]
    events: Events | None
    concerns: tuple[Concern, ...] = ()

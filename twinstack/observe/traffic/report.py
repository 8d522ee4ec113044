"""A report of traffic: data only. Units: bytes of whole frames, microseconds."""

from __future__ import annotations

from dataclasses import dataclass

from twinstack.model.topology import WorldName
from twinstack.observe.traffic.peers import UNDECLARED, Verdict


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Durations of which no list is kept. Units: microseconds, each within 2.2 %."""

    count: int
    least_us: float
    median_us: float
    p99_us: float


@dataclass(frozen=True, slots=True)
class InterfaceTraffic:
    """One interface as captured: every packet that was seen there, as tshark counts."""

    name: str
    packets: int
    bytes: int
    cut: int  # packets cut by the snap length
    dropped: int  # packets that never reached the file


@dataclass(frozen=True, slots=True)
class PairSums:
    """What two services exchanged, each packet counted once: there, and back from the server."""

    packets_there: int = 0
    packets_back: int = 0
    bytes_there: int = 0
    bytes_back: int = 0
    connections: int = 0
    resent: int = 0
    resets: int = 0
    zero_windows: int = 0

    @property
    def packets(self) -> int:
        return self.packets_there + self.packets_back

    @property
    def bytes(self) -> int:
        return self.bytes_there + self.bytes_back


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTraffic(PairSums):
    """Two services and the server's port. TCP's figures are 0 and None for other protocols."""

    client: str
    server: str
    protocol: str
    server_port: int | None
    world: WorldName | None
    verdict: Verdict  # empty: the topology declares nothing about it
    handshake: Percentiles | None
    acknowledged: Percentiles | None
    example: str  # two instances: replicas or addresses


@dataclass(frozen=True, slots=True)
class ProtocolTraffic:
    """A protocol's part."""

    network: str  # IP version, or type of frame
    transport: str
    application: str  # by the server's port
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Talker:
    """An address and what it sent."""

    address: str
    name: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class HttpTraffic:
    """Requests of one kind that got one status."""

    client: str
    server: str
    request: str
    status: int | None  # None: no response was seen
    count: int
    latency: Percentiles | None  # until the response's first byte, at the client's side


@dataclass(frozen=True, slots=True)
class TunnelTraffic:
    """One VXLAN's carriers between two hosts, at one interface; the pairs have their content."""

    source: str
    destination: str
    vni: int
    place: str  # the interface
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """What was counted in one step of time."""

    at_s: float  # since the first packet
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """The whole report."""

    files: tuple[str, ...]
    started_ns: int | None  # the earliest time; None without packets
    seconds: float
    sights: int  # packets, counted at every interface that saw them
    packets: int  # packets, counted once
    bytes: int
    places: tuple[InterfaceTraffic, ...]
    pairs: tuple[PairTraffic, ...]
    protocols: tuple[ProtocolTraffic, ...]
    talkers: tuple[Talker, ...]
    http: tuple[HttpTraffic, ...]
    tunnels: tuple[TunnelTraffic, ...]
    step_s: float
    moments: tuple[TimelineStep, ...]
    notes: tuple[str, ...]  # what could not be read or decided, a sentence each
    world: WorldName | None = None  # None: read from files, of any world

    @property
    def undeclared(self) -> tuple[PairTraffic, ...]:
        return tuple(pair for pair in self.pairs if pair.verdict == UNDECLARED)

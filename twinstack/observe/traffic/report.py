"""What a report of traffic says: data only. Units: bytes of whole frames, microseconds."""

from __future__ import annotations

from dataclasses import dataclass

from twinstack.model.topology import WorldName
from twinstack.observe.traffic.histogram import Percentiles
from twinstack.observe.traffic.peers import Verdict


@dataclass(frozen=True, slots=True)
class InterfaceTraffic:
    """One interface as captured: every packet that was seen there, as tshark counts.

    `cut` packets are longer than what was kept of them; `dropped` never reached the file.
    """

    name: str
    packets: int
    bytes: int
    cut: int
    dropped: int


@dataclass(frozen=True, slots=True)
class PairTraffic:
    """Two services and the server's port, each packet counted once, there and back.

    `server_port` is None where there is none. `verdict` is empty where the declaration says
    nothing. The figures of TCP are 0 and None for what is no TCP.
    """

    client: str
    server: str
    protocol: str
    server_port: int | None
    world: WorldName | None
    verdict: Verdict
    packets_there: int
    packets_back: int
    bytes_there: int
    bytes_back: int
    connections: int
    resent: int
    resets: int
    zero_windows: int
    handshake: Percentiles | None
    acknowledged: Percentiles | None
    example: str

    @property
    def packets(self) -> int:
        return self.packets_there + self.packets_back

    @property
    def bytes(self) -> int:
        return self.bytes_there + self.bytes_back


@dataclass(frozen=True, slots=True)
class ProtocolTraffic:
    """A protocol's part: IP version (or frame type), transport, and what the port is for."""

    network: str
    transport: str
    application: str
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
    """Requests of one kind that got one status; `status` is None where no answer was seen.

    `latency` is the time until the answer's first byte, where the client's leg was seen first.
    """

    client: str
    server: str
    request: str
    status: int | None
    count: int
    latency: Percentiles | None


@dataclass(frozen=True, slots=True)
class TunnelTraffic:
    """Carriers of one VXLAN between two hosts, at one place; what they carry is in the pairs."""

    source: str
    destination: str
    vni: int
    place: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """What was counted in one step of time. Units: seconds since the first packet."""

    at_s: float
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """The whole report. `sights` counts a packet wherever it was seen, `packets` counts it once.

    `started_ns` is the earliest time, None without packets. `notes` say what could not be read or
    told, a sentence each.
    """

    files: tuple[str, ...]
    started_ns: int | None
    seconds: float
    sights: int
    packets: int
    bytes: int
    places: tuple[InterfaceTraffic, ...]
    pairs: tuple[PairTraffic, ...]
    protocols: tuple[ProtocolTraffic, ...]
    talkers: tuple[Talker, ...]
    http: tuple[HttpTraffic, ...]
    tunnels: tuple[TunnelTraffic, ...]
    step_s: float
    moments: tuple[TimelineStep, ...]
    notes: tuple[str, ...]

    @property
    def undeclared(self) -> tuple[PairTraffic, ...]:
        return tuple(pair for pair in self.pairs if pair.verdict == "undeclared")

"""Build the report from totals: names for numbers, the largest first, notes as sentences. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twinstack.observe.traffic.histogram import percentiles
from twinstack.observe.traffic.http import UNANSWERED, HttpExchanges, HttpMessages
from twinstack.observe.traffic.packets import address_of
from twinstack.observe.traffic.protocols import protocol_name
from twinstack.observe.traffic.report import (
    HttpTraffic,
    InterfaceTraffic,
    PairTraffic,
    ProtocolTraffic,
    Talker,
    TrafficReport,
    TunnelTraffic,
)
from twinstack.observe.traffic.timeline import Timeline
from twinstack.observe.traffic.totals import (
    MAX_PAIRS,
    MAX_TALKERS,
    NO_PORT,
    PairTotals,
    TrafficTotals,
)
from twinstack.observe.traffic.vxlan import VxlanCarriers

_TOP_TALKERS = 20
#: The bits of a place that number the interface; those above are a cooked capture's own.
_PLACE_BITS = (1 << 20) - 1


@dataclass(slots=True)
class PacketCounts:
    """Counts of packets, each counted once but in `sightings`."""

    sightings: int = 0
    packets: int = 0
    bytes: int = 0
    malformed: int = 0
    unknown_links: int = 0
    cut_headers: int = 0
    cut_messages: int = 0  # TCP payloads cut off where HTTP would begin
    segments: int = 0  # TCP with payload
    cooked: bool = False
    first_ns: int | None = None
    last_ns: int = 0

    def span(self, first_ns: int, last_ns: int) -> None:
        """Extend the time that the capture spans."""
        self.first_ns = first_ns if self.first_ns is None else min(self.first_ns, first_ns)
        self.last_ns = max(self.last_ns, last_ns)


def build_report(
    files: Sequence[str],
    interfaces: tuple[InterfaceTraffic, ...],
    counts: PacketCounts,
    totals: TrafficTotals,
    exchanges: HttpExchanges,
    messages: HttpMessages,
    carriers: VxlanCarriers,
    timeline: Timeline,
    damage: Sequence[str],
) -> TrafficReport:
    """Build the report. `damage`: notes on the files."""
    pairs = [_pair(pair) for pair in totals.pairs if any(pair.packets)]
    pairs.sort(key=lambda p: (-p.bytes, p.client, p.server, p.protocol, p.server_port or 0))
    first_ns = counts.first_ns
    return TrafficReport(
        files=tuple(files),
        started_ns=first_ns,
        seconds=0.0 if first_ns is None else (counts.last_ns - first_ns) / 1e9,
        sights=counts.sightings,
        packets=counts.packets,
        bytes=counts.bytes,
        places=interfaces,
        pairs=tuple(pairs),
        protocols=_protocols(totals),
        talkers=_talkers(totals),
        http=_http(totals, exchanges, messages),
        tunnels=_tunnels(carriers, interfaces),
        step_s=timeline.step_ns / 1e9,
        moments=timeline.steps(),
        notes=(*damage, *_notes(counts, totals)),
    )


def _pair(pair: PairTotals) -> PairTraffic:
    return PairTraffic(
        client=pair.client.name,
        server=pair.server.name,
        protocol=protocol_name(pair.protocol),
        server_port=None if pair.port == NO_PORT else pair.port,
        world=pair.server.world or pair.client.world,
        verdict=pair.verdict,
        packets_there=pair.packets[0],
        packets_back=pair.packets[1],
        bytes_there=pair.bytes[0],
        bytes_back=pair.bytes[1],
        connections=pair.connections,
        resent=pair.resent,
        resets=pair.resets,
        zero_windows=pair.zero_windows,
        handshake=percentiles(pair.handshakes),
        acknowledged=percentiles(pair.acknowledged),
        example=f"{pair.client.instance} → {pair.server.instance}",
    )


def _protocols(totals: TrafficTotals) -> tuple[ProtocolTraffic, ...]:
    protocols = []
    for (version, protocol, application), (packets, size) in totals.protocols.items():
        name = protocol_name(protocol)
        layers = (f"IPv{version}", name) if version else (name, "")
        if packets:
            protocols.append(ProtocolTraffic(*layers, application, packets, size))
    return tuple(sorted(protocols, key=lambda p: (-p.bytes, p.network, p.transport, p.application)))


def _talkers(totals: TrafficTotals) -> tuple[Talker, ...]:
    talkers = []
    for (high, low), (packets, size) in totals.talkers.items():
        if high or low:
            peer = totals.peers.peer(high, low)
            name = peer.instance if peer.kind == "service" else peer.name
            talkers.append(Talker(str(address_of(high, low)), name, packets, size))
    talkers.sort(key=lambda talker: (-talker.bytes, talker.address))
    return tuple(talkers[:_TOP_TALKERS])


def _http(
    totals: TrafficTotals, exchanges: HttpExchanges, messages: HttpMessages
) -> tuple[HttpTraffic, ...]:
    # Several pairs may have the same names: replicas, worlds.
    histograms: dict[tuple[str, str, str, int], Counter[int]] = {}
    for (number, request, status), histogram in exchanges.latencies.items():
        pair = totals.pairs[number]
        key = (pair.client.name, pair.server.name, messages.name(request), status)
        histograms.setdefault(key, Counter()).update(histogram)
    rows = []
    for (client, server, name, status), histogram in sorted(histograms.items()):
        latency = None if status == UNANSWERED else percentiles(histogram)
        count = sum(histogram.values())
        row = HttpTraffic(client, server, name, status or None, count, latency)
        rows.append(row)
    return tuple(sorted(rows, key=lambda row: -row.count))


def _tunnels(
    carriers: VxlanCarriers, interfaces: Sequence[InterfaceTraffic]
) -> tuple[TunnelTraffic, ...]:
    tunnels = [
        TunnelTraffic(
            source=str(address_of(high, low)),
            destination=str(address_of(to_high, to_low)),
            vni=vni,
            place=interfaces[place & _PLACE_BITS].name,
            packets=packets,
            bytes=size,
        )
        for (high, low, to_high, to_low, vni, place), (packets, size) in carriers.counts.items()
    ]
    return tuple(sorted(tunnels, key=lambda t: (-t.bytes, t.source, t.destination, t.vni, t.place)))


def _notes(counts: PacketCounts, totals: TrafficTotals) -> Iterator[str]:
    if counts.cut_messages:
        yield (
            f"HTTP is incomplete: the snap length cut off the first bytes of "
            f"{counts.cut_messages} of {counts.segments} segments with payload"
        )
    if counts.cut_headers:
        yield f"{counts.cut_headers} packets are shorter than their headers"
    if counts.malformed:
        yield f"{counts.malformed} packets are malformed"
    if counts.unknown_links:
        yield f"{counts.unknown_links} packets are of a link type that is not decoded"
    if counts.cooked:
        yield (
            "a capture of all interfaces in one (SLL) does not name the interface of a packet: "
            "packets that are alike within a second count once"
        )
    if totals.ports_left_out:
        yield f"more than {MAX_PAIRS} pairs with a port: the rest are without their ports"
    if totals.talkers_left_out:
        yield (
            f"more than {MAX_TALKERS} addresses: {totals.talkers_left_out} of the "
            "quietest are left out of the talkers"
        )

"""Build the report from totals: names for numbers, the largest first, notes as sentences. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from twinstack.observe.traffic import report as r
from twinstack.observe.traffic import totals as t
from twinstack.observe.traffic.histogram import Timeline, percentiles
from twinstack.observe.traffic.http import UNANSWERED, HttpExchanges
from twinstack.observe.traffic.packets import address_of
from twinstack.observe.traffic.protocols import protocol_name
from twinstack.observe.traffic.tcp_health import ACKNOWLEDGED, HANDSHAKE
from twinstack.printable import counted

_TOP_TALKERS = 20
#: What is not in the tables, each with its note.
_LEFT_OUT = {
    "cut headers": "shorter than the headers in it",
    "malformed": "malformed",
    "unknown links": "of a link type that is not decoded",
}
#: The bits of a place that number the interface; those above are a cooked capture's own.
_PLACE_BITS = (1 << 20) - 1


def build_report(
    files: Sequence[str],
    interfaces: tuple[r.InterfaceTraffic, ...],
    totals: t.TrafficTotals,
    exchanges: HttpExchanges,
    timeline: Timeline,
    damage: Sequence[str],
) -> r.TrafficReport:
    """Build the report. `damage`: notes on the files."""
    pairs = [_pair(pair) for pair in totals.pairs]
    pairs.sort(key=lambda p: (-p.bytes, p.client, p.server, p.protocol, p.server_port or 0))
    packets = totals.packets
    first_ns = packets.first_ns
    return r.TrafficReport(
        files=tuple(files),
        started_ns=first_ns,
        seconds=0.0 if first_ns is None else (packets.last_ns - first_ns) / 1e9,
        sights=packets["sightings"],
        packets=packets["packets"],
        bytes=packets["bytes"],
        places=interfaces,
        pairs=tuple(pair for pair in pairs if pair.packets),
        protocols=_protocols(totals),
        talkers=_talkers(totals),
        http=_http(totals, exchanges),
        tunnels=_tunnels(totals, interfaces),
        step_s=timeline.step_ns / 1e9,
        moments=timeline.steps(),
        notes=(*damage, *_notes(totals)),
    )


def _pair(pair: t.PairTotals) -> r.PairTraffic:
    return r.PairTraffic(
        *pair.sums,
        client=pair.client.name,
        server=pair.server.name,
        protocol=protocol_name(pair.protocol),
        server_port=None if pair.port == t.NO_PORT else pair.port,
        world=pair.server.world or pair.client.world,
        verdict=pair.verdict,
        handshake=percentiles(pair.times[HANDSHAKE]),
        acknowledged=percentiles(pair.times[ACKNOWLEDGED]),
        example=f"{pair.client.instance} → {pair.server.instance}",
    )


def _protocols(totals: t.TrafficTotals) -> tuple[r.ProtocolTraffic, ...]:
    protocols = []
    for (version, protocol, application), (packets, size) in totals.protocols.items():
        name = protocol_name(protocol)
        layers = (f"IPv{version}", name) if version else (name, "")
        if packets:
            protocols.append(r.ProtocolTraffic(*layers, application, packets, size))
    return tuple(sorted(protocols, key=lambda p: (-p.bytes, p.network, p.transport, p.application)))


def _talkers(totals: t.TrafficTotals) -> tuple[r.Talker, ...]:
    talkers = []
    for (high, low), (packets, size) in totals.talkers.items():
        if high or low:
            peer = totals.peers.peer(high, low)
            name = peer.instance if peer.kind == "service" else peer.name
            talkers.append(r.Talker(str(address_of(high, low)), name, packets, size))
    talkers.sort(key=lambda talker: (-talker.bytes, talker.address))
    return tuple(talkers[:_TOP_TALKERS])


def _http(totals: t.TrafficTotals, exchanges: HttpExchanges) -> tuple[r.HttpTraffic, ...]:
    # Several pairs may have the same names: replicas, worlds.
    histograms: dict[tuple[str, str, str, int], Counter[int]] = {}
    for (number, request, status), histogram in exchanges.latencies.items():
        pair = totals.pairs[number]
        key = (pair.client.name, pair.server.name, exchanges.messages.name(request), status)
        histograms.setdefault(key, Counter()).update(histogram)
    rows = []
    for (client, server, name, status), histogram in sorted(histograms.items()):
        latency = None if status == UNANSWERED else percentiles(histogram)
        count = sum(histogram.values())
        rows.append(r.HttpTraffic(client, server, name, status or None, count, latency))
    return tuple(sorted(rows, key=lambda row: -row.count))


def _tunnels(
    totals: t.TrafficTotals, interfaces: Sequence[r.InterfaceTraffic]
) -> tuple[r.TunnelTraffic, ...]:
    tunnels = [
        r.TunnelTraffic(
            source=str(address_of(high, low)),
            destination=str(address_of(to_high, to_low)),
            vni=vni,
            place=interfaces[place & _PLACE_BITS].name,
            packets=packets,
            bytes=size,
        )
        for (high, low, to_high, to_low, vni, place), (packets, size) in totals.carriers.items()
    ]
    return tuple(sorted(tunnels, key=lambda t: (-t.bytes, t.source, t.destination, t.vni, t.place)))


def _notes(totals: t.TrafficTotals) -> Iterator[str]:
    counts = totals.packets
    if counts["cut messages"]:
        yield (
            f"HTTP is incomplete: the snap length cut off the first bytes of "
            f"{counts['cut messages']} of {counts['segments']} segments with payload"
        )
    for kind, words in _LEFT_OUT.items():
        if counts[kind]:
            yield f"{counted(counts[kind], 'packet is', 'packets are')} {words}"
    if counts.cooked:
        yield (
            "a capture of all interfaces in one (SLL) does not name the interface of a packet: "
            "packets that are alike within a second count once"
        )
    if totals.ports_left_out:
        yield f"more than {t.MAX_PAIRS} pairs with a port: the rest are without their ports"
    if totals.talkers_left_out:
        yield (
            f"more than {t.MAX_TALKERS} addresses: {totals.talkers_left_out} of the "
            "quietest are left out of the talkers"
        )

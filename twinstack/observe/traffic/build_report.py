"""Turn what was counted into the report: names for numbers, the largest first, notes in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from twinstack.observe.traffic import protocols as h
from twinstack.observe.traffic.histogram import spread
from twinstack.observe.traffic.http import UNANSWERED, HttpExchanges, HttpMessages
from twinstack.observe.traffic.interfaces import InterfaceRegistry
from twinstack.observe.traffic.packets import BAD, ETHERTYPE, LLC, UNKNOWN_LINK, address_of
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
    MOST_PAIRS,
    MOST_TALKERS,
    NO_PORT,
    PairTotals,
    TrafficTotals,
)
from twinstack.observe.traffic.vxlan import VxlanCarriers

_TOP_TALKERS = 20
_PROTOCOLS = {
    h.TCP: "TCP",
    h.UDP: "UDP",
    h.ICMP: "ICMP",
    h.ICMPV6: "ICMPv6",
    h.SCTP: "SCTP",
    2: "IGMP",
    47: "GRE",
    50: "ESP",
    51: "AH",
    103: "PIM",
    112: "VRRP",
    ETHERTYPE + h.ARP: "ARP",
    ETHERTYPE + 0x88CC: "LLDP",
    LLC: "802.3",
    UNKNOWN_LINK: "unknown link",
    BAD: "malformed",
}
#: Bits of a place's number that count interfaces; above them is a cooked capture's own.
_PLACE_BITS = (1 << 20) - 1


@dataclass(slots=True)
class PacketCounts:
    """Counts that belong to no connection: of packets, each once, but for `sights`."""

    sights: int = 0
    packets: int = 0
    bytes: int = 0
    malformed: int = 0
    unknown_links: int = 0
    cut_headers: int = 0
    cut_messages: int = 0
    segments: int = 0
    cooked: bool = False
    first_ns: int | None = None
    last_ns: int = 0
    notes: list[str] = field(default_factory=list)

    def span(self, first_ns: int, last_ns: int) -> None:
        """Stretch the time that is looked at."""
        self.first_ns = first_ns if self.first_ns is None else min(self.first_ns, first_ns)
        self.last_ns = max(self.last_ns, last_ns)


def summary(
    files: Sequence[str],
    interfaces: InterfaceRegistry,
    facts: PacketCounts,
    ledger: TrafficTotals,
    exchanges: HttpExchanges,
    messages: HttpMessages,
    tunnels: VxlanCarriers,
    timeline: Timeline,
) -> TrafficReport:
    """Write the report."""
    pairs = sorted(
        (_pair(one) for one in ledger.pairs),
        key=lambda one: (-one.bytes, one.client, one.server, one.protocol, one.server_port or 0),
    )
    first_ns = facts.first_ns
    labels = interfaces.labels()
    return TrafficReport(
        files=tuple(files),
        started_ns=first_ns,
        seconds=0.0 if first_ns is None else (facts.last_ns - first_ns) / 1e9,
        sights=facts.sights,
        packets=facts.packets,
        bytes=facts.bytes,
        places=tuple(
            InterfaceTraffic(name, one.packets, one.bytes, one.cut, one.dropped)
            for name, one in zip(labels, interfaces.seen, strict=True)
        ),
        pairs=tuple(one for one in pairs if one.packets),
        protocols=_shares(ledger),
        talkers=_talkers(ledger),
        http=_http(ledger, exchanges, messages),
        tunnels=_tunnels(tunnels, labels),
        step_s=timeline.step_ns / 1e9,
        moments=timeline.moments(),
        notes=tuple(_notes(facts, ledger)),
    )


def protocol_name(number: int) -> str:
    """Give a protocol's name, or its number."""
    if number in _PROTOCOLS:
        return _PROTOCOLS[number]
    if number >= ETHERTYPE:
        return f"type 0x{number - ETHERTYPE:04x}"
    return f"IP protocol {number}"


def _pair(one: PairTotals) -> PairTraffic:
    return PairTraffic(
        client=one.client.name,
        server=one.server.name,
        protocol=protocol_name(one.protocol),
        server_port=None if one.port == NO_PORT else one.port,
        world=one.server.world or one.client.world,
        verdict=one.verdict,
        packets_there=one.packets[0],
        packets_back=one.packets[1],
        bytes_there=one.bytes[0],
        bytes_back=one.bytes[1],
        connections=one.connections,
        resent=one.resent,
        resets=one.resets,
        zero_windows=one.zero_windows,
        handshake=spread(one.handshakes),
        acknowledged=spread(one.acknowledged),
        example=f"{one.client.instance} → {one.server.instance}",
    )


def _shares(ledger: TrafficTotals) -> tuple[ProtocolTraffic, ...]:
    found = []
    for (version, protocol, application), (packets, size) in ledger.protocols.items():
        if not packets:
            continue
        network = f"IPv{version}" if version else protocol_name(protocol)
        transport = protocol_name(protocol) if version else ""
        found.append(ProtocolTraffic(network, transport, application, packets, size))
    return tuple(
        sorted(found, key=lambda one: (-one.bytes, one.network, one.transport, one.application))
    )


def _talkers(ledger: TrafficTotals) -> tuple[Talker, ...]:
    found = []
    for (high, low), (packets, size) in ledger.talkers.items():
        if high or low:
            end = ledger.names.peer(high, low)
            found.append(
                Talker(
                    str(address_of(high, low)),
                    end.instance if end.kind == "service" else end.name,
                    packets,
                    size,
                )
            )
    found.sort(key=lambda one: (-one.bytes, one.address))
    return tuple(found[:_TOP_TALKERS])


def _http(
    ledger: TrafficTotals, exchanges: HttpExchanges, messages: HttpMessages
) -> tuple[HttpTraffic, ...]:
    # Several pairs of numbers may bear the same names: replicas, worlds.
    sums: dict[tuple[str, str, str, int], Counter[int]] = {}
    for (pair, request, status), counts in exchanges.tally.items():
        one = ledger.pairs[pair]
        key = (one.client.name, one.server.name, messages.name(request), status)
        sums.setdefault(key, Counter()).update(counts)
    found = [
        HttpTraffic(
            client,
            server,
            request,
            status if status != UNANSWERED else None,
            sum(counts.values()),
            spread(counts) if status != UNANSWERED else None,
        )
        for (client, server, request, status), counts in sums.items()
    ]
    return tuple(
        sorted(
            found,
            key=lambda one: (-one.count, one.client, one.server, one.request, one.status or 0),
        )
    )


def _tunnels(tunnels: VxlanCarriers, places: Sequence[str]) -> tuple[TunnelTraffic, ...]:
    found = [
        TunnelTraffic(
            str(address_of(high, low)),
            str(address_of(to_high, to_low)),
            vni,
            places[place & _PLACE_BITS],
            packets,
            size,
        )
        for (high, low, to_high, to_low, vni, place), (packets, size) in tunnels.found.items()
    ]
    return tuple(
        sorted(found, key=lambda one: (-one.bytes, one.source, one.destination, one.vni, one.place))
    )


def _notes(facts: PacketCounts, ledger: TrafficTotals) -> list[str]:
    notes = list(facts.notes)
    if facts.cut_messages:
        notes.append(
            f"HTTP is told in part: the snap length cut off the first bytes of "
            f"{facts.cut_messages} of {facts.segments} segments with payload"
        )
    if facts.cut_headers:
        notes.append(f"{facts.cut_headers} packets are shorter than their headers")
    if facts.malformed:
        notes.append(f"{facts.malformed} packets are malformed")
    if facts.unknown_links:
        notes.append(f"{facts.unknown_links} packets are of a link type that is not decoded")
    if facts.cooked:
        notes.append(
            "a capture of all interfaces in one (SLL) does not say which saw a packet: "
            "packets that are alike within a second count once"
        )
    if ledger.portless:
        notes.append(f"more than {MOST_PAIRS} pairs with a port: the rest are without their ports")
    if ledger.talkers_left_out:
        notes.append(
            f"more than {MOST_TALKERS} addresses: {ledger.talkers_left_out} of the "
            "quietest are left out of the talkers"
        )
    return notes

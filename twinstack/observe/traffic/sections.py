"""A traffic report's headline and tables, for terminal and page alike, and as text. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from twinstack.observe.table import (
    NOTHING,
    Section,
    TableCell,
    Tone,
    duration,
    section,
    section_text,
    size,
)
from twinstack.observe.traffic.peers import DECLARED, UNDECLARED
from twinstack.observe.traffic.report import (
    HttpTraffic,
    InterfaceTraffic,
    PairTraffic,
    Percentiles,
    Talker,
    TrafficReport,
    TunnelTraffic,
)
from twinstack.printable import counted, visible


def headline(report: TrafficReport) -> str:
    """Sum the capture up in a sentence."""
    if report.started_ns is None:
        return "No packets."
    started = datetime.fromtimestamp(report.started_ns / 1e9, UTC)
    seen = "" if report.sights == report.packets else f", seen {counted(report.sights, 'time')}"
    return (
        f"{counted(report.packets, 'packet')}{seen}, {size(report.bytes)}, "
        f"in {report.seconds:.3f} s from {started:%Y-%m-%d %H:%M:%S} UTC"
    )


def sections(report: TrafficReport) -> tuple[Section, ...]:
    """Give every section that has rows."""
    return tuple(table for table in _sections(report) if table.rows)


def _sections(report: TrafficReport) -> Iterator[Section]:
    yield section(
        "undeclared",
        "Not declared",
        "no flow in the topology allows these",
        "from, to, port, packets, answered, ?for example",
        [
            (*_ends(pair, tone="bad"), pair.packets, _answered(pair), pair.example)
            for pair in report.undeclared
        ],
    )
    yield section(
        "pairs",
        "Between services",
        "each packet once, there and back; bytes of whole frames",
        "from, to, port, >packets, >bytes, >conns, declared",
        [
            (*_ends(pair), pair.packets, _bytes(pair.bytes), pair.connections, _declared(pair))
            for pair in report.pairs
        ],
    )
    yield section(
        "http",
        "HTTP",
        "time until the response's first byte; status none: no response was seen",
        "from, to, ~request, >status, >count, >p50, >?p99",
        [
            (
                http.client,
                http.server,
                http.request,
                *_status_and_count(http),
                *_times(http.latency),
            )
            for http in report.http
        ],
    )
    yield section(
        "tcp",
        "TCP's health",
        "handshake: SYN to the client's ACK; ack: segment to its ACK",
        "from, to, >port, >resent, >reset, >zero, >handsh., >?p99, >ack",
        [_health(pair) for pair in report.pairs if pair.protocol == "TCP"],
    )
    yield section(
        "protocols",
        "Protocols",
        "the last by the server's port",
        "network, transport, by port, >packets, >bytes",
        [
            (part.network, part.transport, part.application, part.packets, _bytes(part.bytes))
            for part in report.protocols
        ],
    )
    yield section(
        "talkers",
        "Top talkers",
        "what each address sent",
        "address, who, >packets, >bytes",
        [(talker.address, talker.name, *_counts(talker)) for talker in report.talkers],
    )
    yield section(
        "interfaces",
        "Interfaces",
        "every sighting, as tshark counts; cut: by the snap length",
        "~interface, >packets, >bytes, >exactly, >cut, >dropped",
        [
            (place.name, *_counts(place), place.bytes, place.cut, _problems(place.dropped))
            for place in report.places
        ],
    )
    yield section(
        "tunnels",
        "VXLAN carriers",
        "with their own headers; what they carry is counted above",
        "from, to, >VNI, interface, >packets, >bytes",
        [
            (tunnel.source, tunnel.destination, tunnel.vni, tunnel.place, *_counts(tunnel))
            for tunnel in report.tunnels
        ],
    )


def _ends(pair: PairTraffic, tone: Tone = "") -> tuple[str, str, TableCell]:
    port = f"{pair.protocol} {pair.server_port}" if pair.server_port else pair.protocol
    return pair.client, pair.server, TableCell(port, tone=tone)


def _counts(row: Talker | InterfaceTraffic | TunnelTraffic) -> tuple[int, TableCell]:
    return row.packets, _bytes(row.bytes)


def _health(pair: PairTraffic) -> tuple[TableCell | str | int | None, ...]:
    problems = map(_problems, (pair.resent, pair.resets, pair.zero_windows))
    acknowledged, _ = _times(pair.acknowledged)
    port = pair.server_port or ""
    return pair.client, pair.server, port, *problems, *_times(pair.handshake), acknowledged


def _bytes(count: int) -> TableCell:
    return TableCell(size(count), count)


def _problems(count: int) -> TableCell:
    return TableCell(str(count), tone="bad" if count else "dim")


def _declared(pair: PairTraffic) -> TableCell:
    if pair.verdict == UNDECLARED:
        return TableCell("NO", tone="bad")
    return TableCell("yes") if pair.verdict == DECLARED else NOTHING


def _answered(pair: PairTraffic) -> str:
    if not pair.packets_back:
        return "no"
    return "refused" if pair.resets and pair.handshake is None else "yes"


def _status_and_count(http: HttpTraffic) -> tuple[TableCell, TableCell]:
    status = "none" if http.status is None else str(http.status)
    bad = http.status is None or http.status >= 500
    return TableCell(status, tone="bad" if bad else ""), TableCell(str(http.count), http.count)


def _times(latency: Percentiles | None) -> tuple[str | None, str | None]:
    """Give median and 99th percentile."""
    return (duration(latency.median_us), duration(latency.p99_us)) if latency else (None, None)


def text(report: TrafficReport, width: int = 80) -> str:
    """Write the report. Units: columns of the terminal."""
    head = "\n".join([headline(report), *(f"! {visible(note)}" for note in report.notes)])
    return "\n\n".join([head, *(section_text(table, width) for table in sections(report))])

"""The sections of a traffic report: its headline and tables, for terminal and page alike. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from twinstack.observe.table import NOTHING, Section, TableCell, section
from twinstack.observe.traffic.histogram import Percentiles
from twinstack.observe.traffic.peers import DECLARED, UNDECLARED
from twinstack.observe.traffic.report import HttpTraffic, PairTraffic, TrafficReport
from twinstack.observe.units import duration, size


def headline(report: TrafficReport) -> str:
    """Sum the capture up in a sentence."""
    if report.started_ns is None:
        return "No packets."
    started = datetime.fromtimestamp(report.started_ns / 1e9, UTC)
    seen = "" if report.sights == report.packets else f", seen {report.sights} times"
    return (
        f"{report.packets} packets{seen}, {size(report.bytes)}, in {report.seconds:.3f} s "
        f"from {started:%Y-%m-%d %H:%M:%S} UTC"
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
        (
            (
                pair.client,
                pair.server,
                TableCell(service_port(pair), tone="bad"),
                pair.packets,
                _answered(pair),
                pair.example,
            )
            for pair in report.undeclared
        ),
    )
    yield section(
        "pairs",
        "Between services",
        "each packet once, there and back; bytes of whole frames",
        "from, to, port, >packets, >bytes, >conns, declared",
        (
            (
                pair.client,
                pair.server,
                service_port(pair),
                pair.packets,
                _bytes(pair.bytes),
                pair.connections,
                _declared(pair),
            )
            for pair in report.pairs
        ),
    )
    yield section(
        "http",
        "HTTP",
        "time until the response's first byte; status none: no response was seen",
        "from, to, ~request, >status, >count, >p50, >?p99",
        (
            (
                http.client,
                http.server,
                http.request,
                _status(http),
                TableCell(str(http.count), http.count),
                *_percentiles(http.latency),
            )
            for http in report.http
        ),
    )
    yield section(
        "tcp",
        "TCP's health",
        "handshake: SYN to the client's ACK; ack: segment to its ACK",
        "from, to, >port, >resent, >reset, >zero, >handsh., >?p99, >ack",
        (
            (
                pair.client,
                pair.server,
                pair.server_port or "",
                *map(_problems, (pair.resent, pair.resets, pair.zero_windows)),
                *_percentiles(pair.handshake),
                _percentiles(pair.acknowledged)[0],
            )
            for pair in report.pairs
            if pair.protocol == "TCP"
        ),
    )
    yield section(
        "protocols",
        "Protocols",
        "the last by the server's port",
        "network, transport, by port, >packets, >bytes",
        (
            (part.network, part.transport, part.application, part.packets, _bytes(part.bytes))
            for part in report.protocols
        ),
    )
    yield section(
        "talkers",
        "Top talkers",
        "what each address sent",
        "address, who, >packets, >bytes",
        (
            (talker.address, talker.name, talker.packets, _bytes(talker.bytes))
            for talker in report.talkers
        ),
    )
    yield section(
        "interfaces",
        "Interfaces",
        "every sighting, as tshark counts; cut: by the snap length",
        "~interface, >packets, >bytes, >exactly, >cut, >dropped",
        (
            (
                interface.name,
                interface.packets,
                _bytes(interface.bytes),
                interface.bytes,
                interface.cut,
                _problems(interface.dropped),
            )
            for interface in report.places
        ),
    )
    yield section(
        "tunnels",
        "VXLAN carriers",
        "with their own headers; what they carry is counted above",
        "from, to, >VNI, interface, >packets, >bytes",
        (
            (
                tunnel.source,
                tunnel.destination,
                tunnel.vni,
                tunnel.place,
                tunnel.packets,
                size(tunnel.bytes),
            )
            for tunnel in report.tunnels
        ),
    )


def service_port(pair: PairTraffic) -> str:
    """Write protocol and port."""
    return f"{pair.protocol} {pair.server_port}" if pair.server_port else pair.protocol


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


def _status(http: HttpTraffic) -> TableCell:
    if http.status is None:
        return TableCell("none", tone="bad")
    return TableCell(str(http.status), tone="bad" if http.status >= 500 else "")


def _percentiles(latency: Percentiles | None) -> tuple[str | None, str | None]:
    return (duration(latency.median_us), duration(latency.p99_us)) if latency else (None, None)

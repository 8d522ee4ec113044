"""A report of traffic as sections of rows, for a terminal and for a page alike. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from twinstack.observe.traffic.histogram import Percentiles
from twinstack.observe.traffic.peers import DECLARED, UNDECLARED
from twinstack.observe.traffic.report import PairTraffic, TrafficReport

Tone = Literal["", "bad", "dim"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column; numbers stand to the right. Where there is no room, an optional one goes, and a
    flexible one is shortened.
    """

    name: str
    number: bool = False
    optional: bool = False
    flexible: bool = False


@dataclass(frozen=True, slots=True)
class TableCell:
    """What stands in a row. `part` of the largest in its column may be drawn as a bar."""

    text: str
    part: float | None = None
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A table with its title. `key` is its anchor, `says` what is to be known of it."""

    key: str
    title: str
    says: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[TableCell, ...], ...]


def sections(found: TrafficReport) -> tuple[Section, ...]:
    """Give every section that has rows."""
    made = (
        _undeclared(found),
        _pairs(found),
        _http(found),
        _tcp(found),
        _protocols(found),
        _talkers(found),
        _places(found),
        _tunnels(found),
    )
    return tuple(section for section in made if section.rows)


def headline(found: TrafficReport) -> str:
    """Say in a sentence what was looked at."""
    if found.started_ns is None:
        return "No packets."
    started = datetime.fromtimestamp(found.started_ns / 1e9, UTC)
    seen = "" if found.sights == found.packets else f", seen {found.sights} times"
    return (
        f"{found.packets} packets{seen}, {size(found.bytes)}, in {found.seconds:.3f} s "
        f"from {started:%Y-%m-%d %H:%M:%S} UTC"
    )


def size(count: int) -> str:
    """Write bytes so that they can be read."""
    if count < 10_000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 1000:
            return f"{value:.{0 if value >= 100 else 1}f} {unit}"
    return f"{value / 1000:.0f} PB"


def took(us: float) -> str:
    """Write a time so that it can be read."""
    if us < 1000:
        return f"{us:.0f} µs"
    if us < 1_000_000:
        return f"{us / 1000:.{0 if us >= 100_000 else 1}f} ms"
    return f"{us / 1_000_000:.1f} s"


def service_port(pair: PairTraffic) -> str:
    """Write protocol and port."""
    return pair.protocol + (f" {pair.server_port}" if pair.server_port else "")


def _parts(values: Sequence[float]) -> Iterator[float]:
    most = max(values, default=0)
    return (value / most if most else 0.0 for value in values)


def _verdict(pair: PairTraffic) -> TableCell:
    if pair.verdict == UNDECLARED:
        return TableCell("NO", tone="bad")
    return TableCell("yes") if pair.verdict == DECLARED else TableCell("–", tone="dim")


def _answered(pair: PairTraffic) -> str:
    if not pair.packets_back:
        return "no"
    return "refused" if pair.resets and pair.handshake is None else "yes"


def _undeclared(found: TrafficReport) -> Section:
    return Section(
        "undeclared",
        "Not declared",
        "no flow in the topology speaks of these",
        (
            Column("from"),
            Column("to"),
            Column("port"),
            Column("packets", True),
            Column("answered"),
            Column("for example", optional=True),
        ),
        tuple(
            (
                TableCell(one.client),
                TableCell(one.server),
                TableCell(service_port(one), tone="bad"),
                TableCell(str(one.packets)),
                TableCell(_answered(one)),
                TableCell(one.example),
            )
            for one in found.undeclared
        ),
    )


def _pairs(found: TrafficReport) -> Section:
    rows = [
        (
            TableCell(one.client),
            TableCell(one.server),
            TableCell(service_port(one)),
            TableCell(str(one.packets)),
            TableCell(size(one.bytes), part),
            TableCell(str(one.connections)),
            _verdict(one),
        )
        for one, part in zip(found.pairs, _parts([one.bytes for one in found.pairs]), strict=True)
    ]
    return Section(
        "pairs",
        "Between services",
        "each packet once, there and back; bytes of whole frames",
        (
            Column("from"),
            Column("to"),
            Column("port"),
            Column("packets", True),
            Column("bytes", True),
            Column("conns", True),
            Column("declared"),
        ),
        tuple(rows),
    )


def _spread(found: Percentiles | None) -> tuple[TableCell, TableCell]:
    if found is None:
        return TableCell("–", tone="dim"), TableCell("–", tone="dim")
    return TableCell(took(found.median_us)), TableCell(took(found.p99_us))


def _http(found: TrafficReport) -> Section:
    rows = [
        (
            TableCell(one.client),
            TableCell(one.server),
            TableCell(one.request),
            TableCell("none", tone="bad")
            if one.status is None
            else TableCell(str(one.status), tone="bad" if one.status >= 500 else ""),
            TableCell(str(one.count), part),
            *_spread(one.latency),
        )
        for one, part in zip(found.http, _parts([one.count for one in found.http]), strict=True)
    ]
    return Section(
        "http",
        "HTTP",
        "time until the answer's first byte; status none: no answer was seen",
        (
            Column("from"),
            Column("to"),
            Column("request", flexible=True),
            Column("status", True),
            Column("count", True),
            Column("p50", True),
            Column("p99", True, optional=True),
        ),
        tuple(rows),
    )


def _count(value: int) -> TableCell:
    return TableCell(str(value), tone="bad" if value else "dim")


def _tcp(found: TrafficReport) -> Section:
    rows = [
        (
            TableCell(one.client),
            TableCell(one.server),
            TableCell(str(one.server_port or "")),
            _count(one.resent),
            _count(one.resets),
            _count(one.zero_windows),
            *_spread(one.handshake),
            _spread(one.acknowledged)[0],
        )
        for one in found.pairs
        if one.protocol == "TCP"
    ]
    return Section(
        "tcp",
        "TCP's health",
        "handshake: SYN to the client's ACK; ack: segment to its ACK",
        (
            Column("from"),
            Column("to"),
            Column("port", True),
            Column("resent", True),
            Column("reset", True),
            Column("zero", True),
            Column("handsh.", True),
            Column("p99", True, optional=True),
            Column("ack", True),
        ),
        tuple(rows),
    )


def _protocols(found: TrafficReport) -> Section:
    shares = _parts([one.bytes for one in found.protocols])
    rows = [
        (
            TableCell(one.network),
            TableCell(one.transport),
            TableCell(one.application),
            TableCell(str(one.packets)),
            TableCell(size(one.bytes), part),
        )
        for one, part in zip(found.protocols, shares, strict=True)
    ]
    return Section(
        "protocols",
        "Protocols",
        "the last by the server's port",
        (
            Column("network"),
            Column("transport"),
            Column("by port"),
            Column("packets", True),
            Column("bytes", True),
        ),
        tuple(rows),
    )


def _talkers(found: TrafficReport) -> Section:
    shares = _parts([one.bytes for one in found.talkers])
    rows = [
        (
            TableCell(one.address),
            TableCell(one.name),
            TableCell(str(one.packets)),
            TableCell(size(one.bytes), part),
        )
        for one, part in zip(found.talkers, shares, strict=True)
    ]
    return Section(
        "talkers",
        "Top talkers",
        "what each address sent",
        (Column("address"), Column("who"), Column("packets", True), Column("bytes", True)),
        tuple(rows),
    )


def _places(found: TrafficReport) -> Section:
    shares = _parts([one.bytes for one in found.places])
    rows = [
        (
            TableCell(one.name),
            TableCell(str(one.packets)),
            TableCell(size(one.bytes), part),
            TableCell(str(one.bytes)),
            TableCell(str(one.cut)),
            _count(one.dropped),
        )
        for one, part in zip(found.places, shares, strict=True)
    ]
    return Section(
        "interfaces",
        "Interfaces",
        "every sight, as tshark counts; cut: by the snap length",
        (
            Column("interface", flexible=True),
            Column("packets", True),
            Column("bytes", True),
            Column("exactly", True),
            Column("cut", True),
            Column("dropped", True),
        ),
        tuple(rows),
    )


def _tunnels(found: TrafficReport) -> Section:
    return Section(
        "tunnels",
        "VXLAN carriers",
        "with their own headers; what they carry is counted above",
        (
            Column("from"),
            Column("to"),
            Column("VNI", True),
            Column("interface"),
            Column("packets", True),
            Column("bytes", True),
        ),
        tuple(
            (
                TableCell(one.source),
                TableCell(one.destination),
                TableCell(str(one.vni)),
                TableCell(one.place),
                TableCell(str(one.packets)),
                TableCell(size(one.bytes)),
            )
            for one in found.tunnels
        ),
    )

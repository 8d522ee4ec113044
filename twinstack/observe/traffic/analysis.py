"""From capture files to a report: locate, decode, merge, deduplicate, follow, add up.

Every table is bounded, so memory does not grow with the file. `capture_file` locates packets,
`decode` reads their headers, `merge` sorts those of several files, `interfaces` counts what each
interface saw, `deduplicator` recognises further sightings of a packet, `flow_table` has the
connections, `tcp_health` and `http` follow them, `totals` adds up by services, `peers` has their
names and what is declared, `build_report` writes the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from socket import IPPROTO_TCP

import numpy as np

from twinstack.errors import WrongUse
from twinstack.observe.traffic.build_report import build_report
from twinstack.observe.traffic.capture_file import PIECE_BYTES, CaptureFile, open_capture
from twinstack.observe.traffic.columns import Ints
from twinstack.observe.traffic.decode import decode
from twinstack.observe.traffic.deduplicator import Deduplicator, Sightings
from twinstack.observe.traffic.flow_table import FlowTable
from twinstack.observe.traffic.histogram import Timeline
from twinstack.observe.traffic.http import NOTHING, HttpExchanges
from twinstack.observe.traffic.interfaces import FileSpan, InterfaceRegistry, merged
from twinstack.observe.traffic.packets import Packets
from twinstack.observe.traffic.peers import PeerDirectory
from twinstack.observe.traffic.report import TrafficReport
from twinstack.observe.traffic.tcp_health import TcpTracker
from twinstack.observe.traffic.totals import TrafficTotals

#: Read at a time of each file, however many are open.
_LEAST_PIECE = 1 << 18


class TrafficAnalysis:
    """Follows packets in the order of time."""

    def __init__(self, peers: PeerDirectory) -> None:
        self.totals = TrafficTotals(peers)
        self.exchanges, self.timeline = HttpExchanges(), Timeline()
        self._flows = FlowTable(peers.server_ports, self.totals.retire)
        self._deduplicator, self._tcp = Deduplicator(), TcpTracker()

    def add(self, packets: Packets) -> None:
        """Follow packets, each batch sorted by time."""
        if not len(packets):
            return
        moved = self._flows.make_room(len(packets))
        if moved is not None:
            self._deduplicator.renumber(moved)
            self._tcp.forget()
        before = self._flows.count
        half = self._flows.half_flows(packets)
        sightings = self._deduplicator.sightings(packets, half)
        self._flows.follow_nat(half, sightings, before)
        first = sightings.first
        self._flows.add(half[first], packets.length[first])
        self.timeline.add(packets.time_ns[first], packets.length[first])
        self.totals.packets.add(packets, first)
        self._follow(packets, half, sightings)

    def finish(self) -> None:
        """Add up what is left."""
        self.exchanges.finish()
        self._flows.finish()

    def _follow(self, packets: Packets, half: Ints, sightings: Sightings) -> None:
        """Follow each TCP connection at one interface: the one, and as the flow, of its first
        sighting.
        """
        rows = self._flows.rows
        flow = half >> 1
        seen_there = (sightings.first_half == half) & (sightings.first_place == packets.place)
        chosen = (
            (packets.protocol == IPPROTO_TCP)
            & (packets.fragment == 0)
            & (packets.place == rows["place"][flow])
            & ~rows["continues"][flow]
            & (sightings.first | ~seen_there)
        )
        if not chosen.any():
            return
        packets, half, flow = packets.take(chosen), half[chosen], flow[chosen]
        tcp = self._tcp.examine(rows, packets, half)
        for name, (flows, took_ns) in tcp.times.items():
            if len(flows):
                self.totals.add_times(name, self.totals.pairs_of(rows, flows), took_ns)
        begins = (packets.message > 0) & ~tcp.resent
        which = np.flatnonzero(begins | tcp.ended)
        if len(which):
            begins = begins[which]
            pairs, messages = np.zeros(len(which), np.int64), np.full(len(which), NOTHING, np.int64)
            pairs[begins] = self.totals.pairs_of(rows, flow[which][begins])
            messages[begins] = packets.message[which][begins]
            keys = rows["key"][flow[which]]
            self.exchanges.add(keys, pairs, messages, tcp.ended[which], packets.time_ns[which])


class FileReading:
    """Reads and decodes files, and counts what each interface saw."""

    def __init__(self, files: int, analysis: TrafficAnalysis) -> None:
        self._messages = analysis.exchanges.messages
        self._add_carriers = analysis.totals.add_carriers
        self._piece_bytes = max(PIECE_BYTES // max(files, 1), _LEAST_PIECE)
        self.interfaces = InterfaceRegistry()
        self.damage: list[str] = []  # a sentence for each damaged file

    def packets(self, path: Path, begins_ns: int) -> Iterator[Packets]:
        """Yield a file's packets. Raises: OSError."""
        capture, span = open_capture(path), FileSpan(path, begins_ns)
        numbers: list[int] = []
        for batch in capture.batches(self._piece_bytes):
            self._number(numbers, capture, span)
            span.until_ns = max(span.until_ns, int(batch.time_ns.max()))
            present = np.unique(batch.interface)
            for interface in present.tolist():
                rows = batch.interface == interface if len(present) > 1 else slice(None)
                counts = self.interfaces.counts[numbers[interface]]
                length, captured = batch.length[rows], batch.captured[rows]
                counts.packets += len(length)
                counts.bytes += int(length.sum())
                counts.cut += int((captured < length).sum())
            yield decode(batch, capture.interfaces, numbers, self._messages, self._add_carriers)
        self._number(numbers, capture, span)
        for interface, number in zip(capture.interfaces, numbers, strict=True):
            self.interfaces.counts[number].dropped += interface.dropped
        if capture.damage is not None:
            damage = capture.damage
            self.damage.append(f"{path}: read up to byte {damage.byte}: {damage.cause}")

    def _number(self, numbers: list[int], capture: CaptureFile, span: FileSpan) -> None:
        """Number the interfaces that the file has described since."""
        for interface in capture.interfaces[len(numbers) :]:
            numbers.append(self.interfaces.number(interface.name, span))


def analyse(files: Sequence[Path], peers: PeerDirectory) -> TrafficReport:
    """Report several capture files as one. Damaged files are among the notes.

    Raises: Unreadable for a file that is no capture; WrongUse without files; OSError.
    """
    paths = _different(files)
    if not paths:
        raise WrongUse(
            "traffic.report", "has nothing to read", "no file is given", "name a capture file"
        )
    analysis = TrafficAnalysis(peers)
    reading = FileReading(len(paths), analysis)
    sources: list[tuple[int, Callable[[], Iterator[Packets]]]] = []
    for path in paths:
        begins_ns = _begins(path) if len(paths) > 1 else 0
        sources.append((begins_ns, partial(reading.packets, path, begins_ns)))
    for packets in merged(sources):
        analysis.add(packets)
    analysis.finish()
    names, interfaces = [str(path) for path in paths], reading.interfaces.traffic()
    return build_report(
        names, interfaces, analysis.totals, analysis.exchanges, analysis.timeline, reading.damage
    )


def _begins(path: Path) -> int:
    """Give the time of a file's first packet, 0 when it has none."""
    with closing(open_capture(path)) as capture:
        batch = next(capture.batches(_LEAST_PIECE), None)
    return 0 if batch is None else int(batch.time_ns.min())


def _different(files: Sequence[Path]) -> list[Path]:
    """Drop files that were named before, by whatever path."""
    unique: dict[tuple[int, int], Path] = {}
    for path in files:
        status = path.stat()
        unique.setdefault((status.st_dev, status.st_ino), path)
    return list(unique.values())

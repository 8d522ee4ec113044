"""From capture files to a report: read, decode, merge, count once, follow, add up.

Everything is kept in tables of bounded size, so a file of any length takes the same memory.
Who does what: `captures` finds packets, `decode` reads their headers, `merge` puts several files
in order, `interfaces` tells where each packet was seen, `once` tells further sights, `flows` knows
connections, `tcp` and `http` follow them, `ledger` adds up by services, `naming` knows those and
what is declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from twinstack.errors import TwinstackError
from twinstack.observe.traffic import protocols as h
from twinstack.observe.traffic.build_report import PacketCounts, summary
from twinstack.observe.traffic.decode import PacketDecoder
from twinstack.observe.traffic.deduplicator import Deduplicator, Sightings
from twinstack.observe.traffic.flow_table import FlowTable
from twinstack.observe.traffic.http import CUT_OFF, NOTHING, HttpExchanges, HttpMessages
from twinstack.observe.traffic.interfaces import FileSpan, InterfaceRegistry
from twinstack.observe.traffic.merge import merged
from twinstack.observe.traffic.packets import BAD, UNKNOWN_LINK, Flags, Ints, Packets
from twinstack.observe.traffic.peers import PeerDirectory
from twinstack.observe.traffic.reader import PIECE_BYTES, CaptureFile, open_capture
from twinstack.observe.traffic.report import TrafficReport
from twinstack.observe.traffic.tcp_health import TcpTracker
from twinstack.observe.traffic.timeline import Timeline
from twinstack.observe.traffic.totals import TrafficTotals
from twinstack.observe.traffic.vxlan import VxlanCarriers

#: Of every file but the largest ones read at once.
_LEAST_PIECE = 1 << 18


class TrafficAnalysis:
    """Follows packets that come in the order of time; `finish` gives the report."""

    def __init__(self, names: PeerDirectory) -> None:
        self._ledger = TrafficTotals(names)
        self._flows = FlowTable(names.ports, self._ledger.retire)
        self._once, self._tcp = Deduplicator(), TcpTracker()
        self._exchanges, self._timeline = HttpExchanges(), Timeline()
        self.messages, self.tunnels = HttpMessages(), VxlanCarriers()
        self._facts = PacketCounts()

    def add(self, packets: Packets) -> None:
        """Take packets, each batch sorted by time."""
        if not len(packets):
            return
        moved = self._flows.room_for(len(packets))
        if moved is not None:
            self._once.forget(moved)
            self._tcp.forget()
        before = self._flows.count
        half = self._flows.halves(packets)
        sights = self._once.look(packets, half)
        self._link(half, sights, before)
        self._count(packets, half, sights)
        self._follow(packets, half, sights)

    def finish(
        self, files: Sequence[str], interfaces: InterfaceRegistry, notes: Sequence[str]
    ) -> TrafficReport:
        """Add up what is left."""
        self._exchanges.finish()
        self._flows.finish()
        facts = self._facts
        facts.notes = [*notes]
        return summary(
            files,
            interfaces,
            facts,
            self._ledger,
            self._exchanges,
            self.messages,
            self.tunnels,
            self._timeline,
        )

    def _link(self, half: Ints, sights: Sightings, before: int) -> None:
        """Where a packet is seen again under other addresses, note where it went in the end."""
        again = np.flatnonzero(
            ~sights.first & (sights.first_half != half) & (sights.first_half >= 0)
        )
        if not len(again):
            return
        table = self._flows.table
        flows = half[again] >> 1
        new = flows >= before
        if new.any():  # a flow that begins with a further sight goes on with another
            _, firsts = np.unique(half >> 1, return_index=True)
            begins = np.zeros(len(half), np.bool_)
            begins[firsts] = True
            opening = new & begins[again]
            table["continues"][flows[opening]] = True
        rank = sights.rank[again]
        source = sights.first_half[again]
        latest = rank >= table["to_rank"][source >> 1, source & 1]
        order = np.argsort(rank[latest], kind="stable")  # assigned in this order: the last stays
        rows = again[latest][order]
        source, target = sights.first_half[rows], half[rows]
        at, of = (source >> 1, source & 1), (target >> 1, 1 - (target & 1))
        for word in ("high", "low", "port"):
            table[f"to_{word}"][at] = table[word][of]
        table["to_rank"][at] = sights.rank[rows]
        fresh = ~table["rewritten"][at]
        table["rewritten"][at] = True
        table["pair"][source[fresh] >> 1] = -1
        table["pair"][target[fresh] >> 1] = -1

    def _count(self, packets: Packets, half: Ints, sights: Sightings) -> None:
        """Count first sights."""
        once = sights.first
        flow, side = half[once] >> 1, half[once] & 1
        table = self._flows.table
        np.add.at(table["packets"], (flow, side), 1)
        np.add.at(table["bytes"], (flow, side), packets.length[once])
        self._timeline.add(packets.time_ns[once], packets.length[once])
        facts = self._facts
        facts.sights += len(packets)
        facts.packets += int(once.sum())
        facts.bytes += int(packets.length[once].sum())
        facts.malformed += int((once & (packets.protocol == BAD) & ~packets.cut).sum())
        facts.unknown_links += int((once & (packets.protocol == UNKNOWN_LINK)).sum())
        facts.cut_headers += int((once & packets.cut).sum())
        facts.cooked = facts.cooked or bool(packets.cooked.any())
        facts.cut_messages += int((once & (packets.message == CUT_OFF)).sum())
        facts.segments += int((once & (packets.protocol == h.TCP) & (packets.payload > 0)).sum())
        facts.span(int(packets.time_ns.min()), int(packets.time_ns.max()))

    def _follow(self, packets: Packets, half: Ints, sights: Sightings) -> None:
        """Look at each TCP connection in one place: where, and as which flow, it was seen first."""
        table = self._flows.table
        flow = half >> 1
        twice = ~sights.first & (sights.first_half == half) & (sights.first_place == packets.place)
        chosen: Flags = (
            (packets.protocol == h.TCP)
            & (packets.fragment == 0)
            & (packets.place == table["place"][flow])
            & ~table["continues"][flow]
            & ~twice
        )
        if not chosen.any():
            return
        packets, half, flow = packets.take(chosen), half[chosen], flow[chosen]
        found = self._tcp.examine(table, packets, half)
        for timed, handshakes in ((found.handshakes, True), (found.acknowledged, False)):
            if len(timed.flow):
                pairs = self._ledger.pairs_of(table, timed.flow)
                self._ledger.time(pairs, timed.took_ns, handshakes=handshakes)
        says = (packets.message > 0) & ~found.resent
        rows = np.flatnonzero(says | found.over)
        if len(rows):
            says = says[rows]
            pairs, messages = np.zeros(len(rows), np.int64), np.full(len(rows), NOTHING, np.int64)
            pairs[says] = self._ledger.pairs_of(table, flow[rows][says])
            messages[says] = packets.message[rows][says]
            keys = table["key"][flow[rows]]
            self._exchanges.add(keys, pairs, messages, found.over[rows], packets.time_ns[rows])


class FileReading:
    """Reads files, and remembers what was seen at which interface."""

    def __init__(self, files: Sequence[Path], analysis: TrafficAnalysis) -> None:
        self._analysis = analysis
        self._decoder = PacketDecoder(analysis.messages, analysis.tunnels)
        self._piece = max(PIECE_BYTES // max(len(files), 1), _LEAST_PIECE)
        self.interfaces = InterfaceRegistry()
        self.notes: list[str] = []

    def packets(self, capture: CaptureFile, begins_ns: int) -> Iterator[Packets]:
        """Give a file's packets, and count what was seen where. Raises: OSError."""
        file = FileSpan(capture.path, begins_ns)
        numbers: list[int] = []
        for batch in capture.batches(self._piece):
            self._number(numbers, capture, file)
            file.until_ns = max(file.until_ns, int(batch.time_ns.max()))
            found = np.unique(batch.interface)
            for number in found.tolist():
                rows = batch.interface == number if len(found) > 1 else slice(None)
                count = self.interfaces.seen[numbers[number]]
                length, captured = batch.length[rows], batch.captured[rows]
                count.packets += len(length)
                count.bytes += int(length.sum())
                count.cut += int((captured < length).sum())
            yield self._decoder.packets(batch, capture.interfaces, numbers)
        self._number(numbers, capture, file)
        for one, number in zip(capture.interfaces, numbers, strict=True):
            self.interfaces.seen[number].dropped += one.dropped
        if capture.broken is not None:
            self.notes.append(
                f"{capture.path}: read up to byte {capture.broken.byte}: {capture.broken.cause}"
            )

    def _number(self, numbers: list[int], capture: CaptureFile, file: FileSpan) -> None:
        """Number the interfaces that a file has named since."""
        named = capture.interfaces[len(numbers) :]
        numbers += [self.interfaces.number(one.name, file) for one in named]


def analyse(files: Sequence[Path], names: PeerDirectory) -> TrafficReport:
    """Report what is in capture files, concatenate. A file that breaks off is told in the notes.

    Raises: Unreadable for what is no capture; TwinstackError without files; OSError.
    """
    chosen = _different(files)
    if not chosen:
        raise TwinstackError(
            "traffic.report", "has nothing to read", "no file is given", "name a capture file"
        )
    analysis = TrafficAnalysis(names)
    reading = FileReading(chosen, analysis)
    sources: list[tuple[int, Callable[[], Iterator[Packets]]]] = []
    for path in chosen:
        begins_ns = _begins(path) if len(chosen) > 1 else 0
        sources.append((begins_ns, partial(_read, path, reading, begins_ns)))
    for packets in merged(sources):
        analysis.add(packets)
    return analysis.finish([str(path) for path in chosen], reading.interfaces, reading.notes)


def _read(path: Path, reading: FileReading, begins_ns: int) -> Iterator[Packets]:
    return reading.packets(open_capture(path), begins_ns)


def _begins(path: Path) -> int:
    """Give the time of a file's first packet, 0 when it has none."""
    capture = open_capture(path)
    try:
        batch = next(capture.batches(_LEAST_PIECE), None)
    finally:
        capture.close()
    return 0 if batch is None else int(batch.time_ns.min())


def _different(files: Sequence[Path]) -> list[Path]:
    """Leave out a file that was named before, by whatever path."""
    seen: set[tuple[int, int]] = set()
    found = []
    for path in files:
        status = path.stat()
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            found.append(path)
    return found

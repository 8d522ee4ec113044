"""Totals: of packets, of retired flows by pair, address and protocol, and of VXLAN carriers.

Bounded: past a number, pairs lose their port, and the quietest addresses are dropped.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from socket import IPPROTO_TCP, IPPROTO_UDP
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinstack.model.topology import WorldName
from twinstack.observe.traffic.columns import Flags, Ints, Rows, sum_groups
from twinstack.observe.traffic.histogram import buckets_of
from twinstack.observe.traffic.http import CUT_OFF
from twinstack.observe.traffic.packets import Packets
from twinstack.observe.traffic.peers import NamedPeer, PeerDirectory, Verdict
from twinstack.observe.traffic.protocols import MALFORMED, UNKNOWN_LINK

MAX_PAIRS = 2_000
MAX_TALKERS = 50_000
_MAX_CARRIERS = 10_000
#: The port of protocols without one, and of pairs past MAX_PAIRS.
NO_PORT = 0

#: Something → packets, bytes.
Counts = dict[tuple[Any, ...], tuple[int, ...]]
PairKey = tuple[str, str, int, int, WorldName | None, Verdict]


@dataclass(slots=True)
class PairTotals:
    """Two peers, a protocol and the server's port."""

    client: NamedPeer
    server: NamedPeer
    protocol: int
    port: int
    verdict: Verdict
    sums: tuple[int, ...] = (0,) * 8  # packets there and back, …: as `report.PairTraffic` has them
    #: By name, as in `tcp_health`: how often a duration fell into each bucket.
    times: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))


class PacketTotals(Counter[str]):
    """Packets, each counted once but in "sightings"."""

    first_ns: int | None = None
    last_ns = 0
    cooked = False

    def add(self, packets: Packets, first: Flags) -> None:
        """Count a batch; `first` sightings count."""
        protocol = packets.protocol
        kinds = {
            "packets": first,
            "malformed": (protocol == MALFORMED) & ~packets.cut,
            "unknown links": protocol == UNKNOWN_LINK,
            "cut headers": packets.cut,
            "cut messages": packets.message == CUT_OFF,  # TCP cut off where HTTP would begin
            "segments": (protocol == IPPROTO_TCP) & (packets.payload > 0),
        }
        self.update({kind: int((first & which).sum()) for kind, which in kinds.items()})
        self.update(sightings=len(packets), bytes=int(packets.length[first].sum()))
        self.cooked = self.cooked or bool(packets.cooked.any())
        begin_ns = int(packets.time_ns.min())
        self.first_ns = begin_ns if self.first_ns is None else min(self.first_ns, begin_ns)
        self.last_ns = max(self.last_ns, int(packets.time_ns.max()))


class TrafficTotals:
    """Adds up retired flows, and carriers, which have none."""

    def __init__(self, peers: PeerDirectory) -> None:
        self.peers = peers
        self.packets = PacketTotals()
        self.pairs: list[PairTotals] = []
        # Each has packets and bytes, by address; by IP version, protocol and application; by
        # source and destination address, VNI and place.
        self.talkers: Counts = {}
        self.protocols: Counts = {}
        self.carriers: Counts = {}
        self.talkers_left_out = 0
        self.ports_left_out = False
        self._number_of: dict[PairKey, int] = {}

    def add_carriers(self, outer: Packets, vni: Ints) -> None:
        """Count VXLAN carriers, apart from the packets that they carry."""
        ends = (outer.source_high, outer.source_low, outer.target_high, outer.target_low)
        values = np.ones(len(vni), np.int64), outer.length
        for key, sums in sum_groups((*ends, vni, outer.place), values):
            if key in self.carriers or len(self.carriers) < _MAX_CARRIERS:
                _add(self.carriers, key, sums)

    def pairs_of(self, rows: Rows, flows: Ints) -> Ints:
        """Give the number of each flow's pair."""
        unnamed = np.unique(flows[rows["pair"][flows] < 0])
        if len(unnamed):
            rows["pair"][unnamed] = self._pairs(rows[unnamed])
        return rows["pair"][flows].astype(np.int64)

    def add_times(self, name: str, pairs: Ints, took_ns: Ints) -> None:
        """Record durations in the histograms of pairs."""
        ones = np.ones(len(pairs), np.int64)
        for (pair, bucket), (count,) in sum_groups((pairs, buckets_of(took_ns)), (ones,)):
            self.pairs[pair].times[name][bucket] += count

    def retire(self, rows: Rows) -> None:
        """Add flows up."""
        if not len(rows):
            return
        rows = rows.copy()
        pairs = self.pairs_of(rows, np.arange(len(rows)))
        every, client = np.arange(len(rows)), rows["client"].astype(np.int64)
        columns = [
            *(rows["packets"][every, side] for side in (client, 1 - client)),
            *(rows["bytes"][every, side] for side in (client, 1 - client)),
            np.where(rows["continues"], 0, np.maximum(rows["connections"], 1)),
            *(rows[name].sum(axis=1) for name in ("resent", "resets", "zero_windows")),
        ]
        for (number,), sums in sum_groups((pairs,), columns):
            pair = self.pairs[number]
            pair.sums = _plus(pair.sums, sums)
        self._add_talkers(rows)
        port = _service_port(rows, rows["ends"]["port"][every, 1 - client])
        both = rows["packets"].sum(axis=1), rows["bytes"].sum(axis=1)
        keys = rows["version"], rows["protocol"], port
        for (*layers, server_port), sums in sum_groups(keys, both):
            _add(self.protocols, (*layers, self.peers.application(server_port)), sums)

    def _add_talkers(self, rows: Rows) -> None:
        address = rows["ends"]["high"].ravel(), rows["ends"]["low"].ravel()
        sent = rows["packets"].ravel(), rows["bytes"].ravel()
        for (high, low), sums in sum_groups(address, sent):
            if sums[0]:
                _add(self.talkers, (high, low), sums)
        if len(self.talkers) > MAX_TALKERS:
            quiet = sorted(self.talkers, key=lambda address: self.talkers[address][1])
            for key in quiet[: len(quiet) - MAX_TALKERS // 2]:
                del self.talkers[key]
                self.talkers_left_out += 1

    def _pairs(self, rows: Rows) -> Ints:
        """Name both ends, each as packets had it on its own side of NAT (`deduplicator`)."""
        every, client = np.arange(len(rows)), rows["client"].astype(np.int64)
        source, target = (
            np.where(
                rows["rewritten"][every, sender],
                rows["to"][every, sender],
                rows["ends"][every, 1 - sender],
            )
            for sender in (1 - client, client)
        )
        peer, port = self.peers.peer, _service_port(rows, target["port"])
        addresses = (end[part] for end in (source, target) for part in ("high", "low"))
        columns = *addresses, rows["protocol"], port
        flows = zip(*(column.tolist() for column in columns), strict=True)
        numbers = [self._pair(peer(*flow[:2]), peer(*flow[2:4]), *flow[4:]) for flow in flows]
        return np.asarray(numbers, np.int64)

    def _pair(self, client: NamedPeer, server: NamedPeer, protocol: int, port: int) -> int:
        verdict = self.peers.verdict(client, server, protocol, port)
        key = (client.name, server.name, protocol, port, server.world or client.world, verdict)
        if key not in self._number_of and len(self.pairs) >= MAX_PAIRS:
            self.ports_left_out = True
            key = (*key[:3], NO_PORT, *key[4:])
        number = self._number_of.get(key)
        if number is None:
            number = self._number_of[key] = len(self.pairs)
            self.pairs.append(PairTotals(client, server, protocol, key[3], verdict))
        return number


def _add(counts: Counts, key: tuple[Any, ...], sums: tuple[int, ...]) -> None:
    counts[key] = _plus(counts[key], sums) if key in counts else sums


def _plus(sums: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(sum, zip(sums, more, strict=True)))


def _service_port(rows: Rows, port: NDArray[np.generic]) -> Ints:
    has_port = np.isin(rows["protocol"], (IPPROTO_TCP, IPPROTO_UDP))
    return np.where(has_port, port, NO_PORT).astype(np.int64)

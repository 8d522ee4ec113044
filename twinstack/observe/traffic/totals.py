"""What remains of flows that ended: totals by pair of services, by address and by protocol.

Bounded: pairs past a number lose their port, addresses past a number become one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twinstack.model.topology import WorldName
from twinstack.observe.traffic import protocols as h
from twinstack.observe.traffic.histogram import buckets_of
from twinstack.observe.traffic.packets import Ints, group_rows, hash_rows
from twinstack.observe.traffic.peers import Peer, PeerDirectory, Verdict

MOST_PAIRS = 2_000
MOST_TALKERS = 50_000
#: In place of a port: past MOST_PAIRS, and for what has none.
NO_PORT = 0


@dataclass(slots=True)
class PairTotals:
    """What a pair of services exchanged: `packets` and `bytes` are there and back."""

    client: Peer
    server: Peer
    protocol: int
    port: int
    verdict: Verdict
    packets: list[int] = field(default_factory=lambda: [0, 0])
    bytes: list[int] = field(default_factory=lambda: [0, 0])
    connections: int = 0
    resent: int = 0
    resets: int = 0
    zero_windows: int = 0
    handshakes: Counter[int] = field(default_factory=Counter)
    acknowledged: Counter[int] = field(default_factory=Counter)


Key = tuple[str, str, int, int, WorldName | None, Verdict]


class TrafficTotals:
    """Keeps the totals."""

    def __init__(self, names: PeerDirectory) -> None:
        self.names = names
        self.pairs: list[PairTotals] = []
        self.talkers: dict[tuple[int, int], list[int]] = {}
        self.talkers_left_out = 0
        self.protocols: dict[tuple[int, int, str], list[int]] = {}
        self.portless = False
        self._number_of: dict[Key, int] = {}

    def pairs_of(self, table: NDArray[np.void], flows: Ints) -> Ints:
        """Give the number of the pair that each flow belongs to."""
        unnamed = np.unique(flows[table["pair"][flows] < 0])
        if len(unnamed):
            table["pair"][unnamed] = self._pairs(table[unnamed])
        return table["pair"][flows].astype(np.int64)

    def time(self, pairs: Ints, took_ns: Ints, *, handshakes: bool) -> None:
        """Take down how long something took in a pair."""
        keys, counts = np.unique(pairs << 16 | buckets_of(took_ns), return_counts=True)
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            totals = self.pairs[key >> 16]
            kept = totals.handshakes if handshakes else totals.acknowledged
            kept[key & 0xFFFF] += count

    def retire(self, rows: NDArray[np.void]) -> None:
        """Add flows up."""
        if not len(rows):
            return
        rows = rows.copy()
        unnamed = np.flatnonzero(rows["pair"] < 0)
        rows["pair"][unnamed] = self._pairs(rows[unnamed])
        self._add_pairs(rows)
        self._add_talkers(rows)
        self._add_protocols(rows)

    def _pairs(self, rows: NDArray[np.void]) -> Ints:
        """Name both ends: as the packets first had the one, and last had the other (`once`)."""
        client = rows["client"].astype(np.int64)
        every, server = np.arange(len(rows)), 1 - client
        ends = []
        for own, sender in ((client, server), (server, client)):
            rewritten = rows["rewritten"][every, sender]
            ends += [
                np.where(rewritten, rows[f"to_{word}"][every, sender], rows[word][every, own])
                for word in ("high", "low", "port")
            ]
        has_port = np.isin(rows["protocol"], (h.TCP, h.UDP))
        ends[5] = np.where(has_port, ends[5], NO_PORT)
        columns = (ends[0], ends[1], ends[3], ends[4], ends[5], rows["protocol"])
        name = self.names.peer
        return np.asarray(
            [
                self._pair(
                    name(client_high, client_low), name(server_high, server_low), protocol, port
                )
                for client_high, client_low, server_high, server_low, port, protocol in zip(
                    *(column.tolist() for column in columns), strict=True
                )
            ],
            np.int64,
        )

    def _pair(self, client: Peer, server: Peer, protocol: int, port: int) -> int:
        verdict = self.names.verdict(client, server, protocol, port)
        key = (client.name, server.name, protocol, port, server.world or client.world, verdict)
        number = self._number_of.get(key)
        if number is None:
            if len(self.pairs) >= MOST_PAIRS:
                self.portless = True
                key = (*key[:3], NO_PORT, *key[4:])
                number = self._number_of.get(key)
            if number is None:
                number = self._number_of[key] = len(self.pairs)
                self.pairs.append(PairTotals(client, server, protocol, key[3], verdict))
        return number

    def _add_pairs(self, rows: NDArray[np.void]) -> None:
        client = rows["client"].astype(np.int64)
        every = np.arange(len(rows))
        opened = np.where(rows["continues"], 0, np.maximum(rows["connections"], 1))
        columns = [
            rows["packets"][every, client],
            rows["packets"][every, 1 - client],
            rows["bytes"][every, client],
            rows["bytes"][every, 1 - client],
            opened,
            rows["resent"].sum(axis=1),
            rows["resets"].sum(axis=1),
            rows["zero_windows"].sum(axis=1),
        ]
        pairs, at = np.unique(rows["pair"], return_inverse=True)
        sums = np.zeros((len(columns), len(pairs)), np.int64)
        for number, column in enumerate(columns):
            np.add.at(sums[number], at, column)
        for number, pair in enumerate(pairs.tolist()):
            found, totals = sums[:, number].tolist(), self.pairs[pair]
            for way in (0, 1):
                totals.packets[way] += found[way]
                totals.bytes[way] += found[2 + way]
            totals.connections += found[4]
            totals.resent += found[5]
            totals.resets += found[6]
            totals.zero_windows += found[7]

    def _add_talkers(self, rows: NDArray[np.void]) -> None:
        high, low = rows["high"].ravel(), rows["low"].ravel()
        packets, size = rows["packets"].ravel(), rows["bytes"].ravel()
        order, begins = group_rows(hash_rows(high, low))
        starts = np.flatnonzero(begins)
        heads = order[starts]
        sums = zip(
            high[heads].tolist(),
            low[heads].tolist(),
            np.add.reduceat(packets[order], starts).tolist(),
            np.add.reduceat(size[order], starts).tolist(),
            strict=True,
        )
        for one_high, one_low, count, octets in sums:
            if not count:
                continue
            kept = self.talkers.setdefault((one_high, one_low), [0, 0])
            kept[0] += count
            kept[1] += octets
        if len(self.talkers) > MOST_TALKERS:
            quiet = sorted(self.talkers, key=lambda key: self.talkers[key][1])
            for key in quiet[: len(quiet) - MOST_TALKERS // 2]:
                del self.talkers[key]
                self.talkers_left_out += 1

    def _add_protocols(self, rows: NDArray[np.void]) -> None:
        every = np.arange(len(rows))
        port = rows["port"][every, 1 - rows["client"].astype(np.int64)].astype(np.int64)
        port = np.where(np.isin(rows["protocol"], (h.TCP, h.UDP)), port, NO_PORT)
        keys = (
            rows["version"].astype(np.int64) << 40 | rows["protocol"].astype(np.int64) << 17 | port
        )
        found, at = np.unique(keys, return_inverse=True)
        sums = np.zeros((2, len(found)), np.int64)
        np.add.at(sums[0], at, rows["packets"].sum(axis=1))
        np.add.at(sums[1], at, rows["bytes"].sum(axis=1))
        for number, key in enumerate(found.tolist()):
            version, protocol, one_port = key >> 40, key >> 17 & 0x7FFFFF, key & 0x1FFFF
            kept = self.protocols.setdefault(
                (version, protocol, self.names.application(one_port)), [0, 0]
            )
            kept[0] += int(sums[0, number])
            kept[1] += int(sums[1, number])

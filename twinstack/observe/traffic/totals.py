"""Totals of retired flows: by pair of services, by address and by protocol.

Bounded: past a number, pairs lose their port, and the quietest addresses are dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from socket import IPPROTO_TCP, IPPROTO_UDP

import numpy as np
from numpy.typing import NDArray

from twinstack.model.topology import WorldName
from twinstack.observe.traffic.columns import Ints, Rows, group_rows, hash_rows
from twinstack.observe.traffic.histogram import buckets_of
from twinstack.observe.traffic.peers import Peer, PeerDirectory, Verdict

MAX_PAIRS = 2_000
MAX_TALKERS = 50_000
#: The port of protocols without one, and of pairs past MAX_PAIRS.
NO_PORT = 0


@dataclass(slots=True)
class PairTotals:
    """What two peers exchanged. `packets` and `bytes`: from the client, from the server."""

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


PairKey = tuple[str, str, int, int, WorldName | None, Verdict]


class TrafficTotals:
    """Adds up flows."""

    def __init__(self, peers: PeerDirectory) -> None:
        self.peers = peers
        self.pairs: list[PairTotals] = []
        #: address → packets, bytes; (IP version, protocol, application) → packets, bytes
        self.talkers: dict[tuple[int, int], list[int]] = {}
        self.protocols: dict[tuple[int, int, str], list[int]] = {}
        self.talkers_left_out = 0
        self.ports_left_out = False
        self._number_of: dict[PairKey, int] = {}

    def pairs_of(self, rows: Rows, flows: Ints) -> Ints:
        """Give the number of each flow's pair."""
        unnamed = np.unique(flows[rows["pair"][flows] < 0])
        if len(unnamed):
            rows["pair"][unnamed] = self._pairs(rows[unnamed])
        return rows["pair"][flows].astype(np.int64)

    def add_handshakes(self, pairs: Ints, took_ns: Ints) -> None:
        """Record durations of handshakes."""
        for pair, bucket, count in _bucket_counts(pairs, took_ns):
            self.pairs[pair].handshakes[bucket] += count

    def add_acknowledged(self, pairs: Ints, took_ns: Ints) -> None:
        """Record times until segments were acknowledged."""
        for pair, bucket, count in _bucket_counts(pairs, took_ns):
            self.pairs[pair].acknowledged[bucket] += count

    def retire(self, rows: Rows) -> None:
        """Add flows up."""
        if not len(rows):
            return
        rows = rows.copy()
        self.pairs_of(rows, np.arange(len(rows)))
        self._add_pairs(rows)
        self._add_talkers(rows)
        self._add_protocols(rows)

    def _pairs(self, rows: Rows) -> Ints:
        """Name both ends, each as packets had it on its own side of NAT (`deduplicator`)."""
        every, client = np.arange(len(rows)), rows["client"].astype(np.int64)
        ends = []
        for own, sender in ((client, 1 - client), (1 - client, client)):
            rewritten = rows["rewritten"][every, sender]
            ends += [
                np.where(rewritten, rows[f"to_{name}"][every, sender], rows[name][every, own])
                for name in ("high", "low", "port")
            ]
        client_high, client_low, _, server_high, server_low, port = ends
        columns = (client_high, client_low, server_high, server_low, rows["protocol"])
        peer = self.peers.peer
        numbers = [
            self._pair(peer(from_high, from_low), peer(to_high, to_low), protocol, port)
            for from_high, from_low, to_high, to_low, protocol, port in zip(
                *(column.tolist() for column in (*columns, _service_port(rows, port))), strict=True
            )
        ]
        return np.asarray(numbers, np.int64)

    def _pair(self, client: Peer, server: Peer, protocol: int, port: int) -> int:
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

    def _add_pairs(self, rows: Rows) -> None:
        every, client = np.arange(len(rows)), rows["client"].astype(np.int64)
        columns = [
            rows["packets"][every, client],
            rows["packets"][every, 1 - client],
            rows["bytes"][every, client],
            rows["bytes"][every, 1 - client],
            np.where(rows["continues"], 0, np.maximum(rows["connections"], 1)),
            *(rows[name].sum(axis=1) for name in ("resent", "resets", "zero_windows")),
        ]
        pairs, sums = _sums(rows["pair"], columns)
        for pair, values in zip(pairs, sums, strict=True):
            totals = self.pairs[pair]
            there, back, bytes_there, bytes_back, connections, resent, resets, zero = values
            totals.packets = [totals.packets[0] + there, totals.packets[1] + back]
            totals.bytes = [totals.bytes[0] + bytes_there, totals.bytes[1] + bytes_back]
            totals.connections += connections
            totals.resent += resent
            totals.resets += resets
            totals.zero_windows += zero

    def _add_talkers(self, rows: Rows) -> None:
        high, low = rows["high"].ravel(), rows["low"].ravel()
        order, begins = group_rows(hash_rows(high, low))
        starts = np.flatnonzero(begins)
        columns = (
            high[order[starts]],
            low[order[starts]],
            np.add.reduceat(rows["packets"].ravel()[order], starts),
            np.add.reduceat(rows["bytes"].ravel()[order], starts),
        )
        for *address, packets, size in zip(*(column.tolist() for column in columns), strict=True):
            if packets:
                _add(self.talkers.setdefault((address[0], address[1]), [0, 0]), packets, size)
        if len(self.talkers) > MAX_TALKERS:
            quiet = sorted(self.talkers, key=lambda address: self.talkers[address][1])
            for key in quiet[: len(quiet) - MAX_TALKERS // 2]:
                del self.talkers[key]
                self.talkers_left_out += 1

    def _add_protocols(self, rows: Rows) -> None:
        every, server = np.arange(len(rows)), 1 - rows["client"].astype(np.int64)
        port = _service_port(rows, rows["port"][every, server])
        version, protocol = rows["version"].astype(np.int64), rows["protocol"].astype(np.int64)
        columns = [rows["packets"].sum(axis=1), rows["bytes"].sum(axis=1)]
        keys, sums = _sums(version << 40 | protocol << 17 | port, columns)
        for key, (packets, size) in zip(keys, sums, strict=True):
            application = self.peers.application(key & 0x1FFFF)
            names = key >> 40, key >> 17 & 0x7FFFFF, application
            _add(self.protocols.setdefault(names, [0, 0]), packets, size)


def _service_port(rows: Rows, port: NDArray[np.generic]) -> Ints:
    has_port = np.isin(rows["protocol"], (IPPROTO_TCP, IPPROTO_UDP))
    return np.where(has_port, port, NO_PORT).astype(np.int64)


def _sums(keys: NDArray[np.generic], columns: Sequence[Ints]) -> tuple[list[int], list[list[int]]]:
    """Give the different keys, and the sums of the columns for each."""
    unique, at = np.unique(keys, return_inverse=True)
    sums = np.zeros((len(unique), len(columns)), np.int64)
    np.add.at(sums, at, np.stack(columns, axis=1))
    return unique.tolist(), sums.tolist()


def _bucket_counts(pairs: Ints, took_ns: Ints) -> list[tuple[int, int, int]]:
    """Give pair, bucket and count."""
    keys, counts = np.unique(pairs << 16 | buckets_of(took_ns), return_counts=True)
    return list(zip((keys >> 16).tolist(), (keys & 0xFFFF).tolist(), counts.tolist(), strict=True))


def _add(totals: list[int], packets: int, size: int) -> None:
    totals[0] += packets
    totals[1] += size

"""The table of connections: their ends, how much they carried, and what TCP's tracker needs.

A *flow* is two ends (address and port) and a protocol. Its two *half-flows* are its directions,
numbered twice the flow's number, plus one for the end that is second in order. The table is
bounded: when it is full, the flows that were silent longest are retired.
"""

from __future__ import annotations

from collections.abc import Callable
from socket import IPPROTO_TCP
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinstack.observe.traffic.columns import Flags, Hashes, Ints, Rows, group_rows, hash_rows
from twinstack.observe.traffic.deduplicator import Sightings
from twinstack.observe.traffic.packets import Packets
from twinstack.observe.traffic.protocols import ACK, FIRST, LATER, SYN

Column = NDArray[Any]
#: Flows remembered at once; about 300 bytes each.
MAX_FLOWS = 1 << 16
_MAX_FRAGMENTS = 1 << 14
_UNKNOWN = -1
_ADDRESSES = ("source_high", "source_low", "target_high", "target_low")
_FRAGMENT_KEY = (*_ADDRESSES, "protocol", "ip_id")

END = np.dtype([("high", "u8"), ("low", "u8"), ("port", "i4")])
FLOW = np.dtype(
    [
        ("key", "u8"),
        ("version", "u1"),
        ("protocol", "i4"),
        # Its ends; each sends the half-flow of its own number.
        ("ends", END, 2),
        # Where each half-flow was last seen going to, if NAT has rewritten it.
        ("to", END, 2),
        ("rewritten", "?", 2),
        ("to_rank", "u4", 2),  # the rank of that sighting
        ("client", "i1"),  # the end that opened it: 0 or 1
        ("continues", "?"),  # its packets were first seen in another flow, before NAT
        ("place", "i8"),  # the interface that saw its first packet
        ("last_ns", "i8"),
        ("packets", "i8", 2),
        ("bytes", "i8", 2),
        ("pair", "i4"),  # number in `totals`; -1: not named yet
        # TCP, as seen at `place`
        ("connections", "i8"),
        ("known", "?", 2),  # `highest` is set
        ("highest", "i8", 2),  # next sequence number of each half-flow
        ("opened", "?"),  # `syn_seq` is set
        ("syn_seq", "i8"),
        ("syn_ns", "i8"),  # of a handshake that is not complete
        ("accepted_ns", "i8"),  # of its SYN+ACK
        ("resent", "i8", 2),
        ("resets", "i8", 2),
        ("zero_windows", "i8", 2),
    ]
)


class FlowTable:
    """The table. `retire` gets the rows that leave it."""

    def __init__(self, server_ports: tuple[int, ...], retire: Callable[[Rows], None]) -> None:
        self.rows: Rows = np.zeros(1024, FLOW)
        self.count = 0
        self._of_key: dict[int, int] = {}
        self._fragments: dict[tuple[int, ...], tuple[int, int]] = {}
        self._server_ports = np.asarray(server_ports, np.int64)
        self._retire = retire

    def make_room(self, packets: int) -> Ints | None:
        """Give each half-flow's new number (-1: retired); None when none had to leave."""
        if self.count + packets <= MAX_FLOWS or not self.count:
            return None
        keep = max(MAX_FLOWS // 2 - packets, 0)
        order = np.argsort(self.rows["last_ns"][: self.count], kind="stable")
        gone, kept = order[: self.count - keep], np.sort(order[self.count - keep :])
        self._retire(self.rows[gone])
        moved = np.full(self.count, -1, np.int64)
        moved[kept] = np.arange(len(kept))
        self.rows[: len(kept)] = self.rows[kept]
        self.count = len(kept)
        keys = self.rows["key"][: self.count].tolist()
        self._of_key = dict(zip(keys, range(self.count), strict=True))
        halves = moved[:, None] * 2 + np.arange(2)
        halves[moved < 0] = -1
        return halves.ravel()

    def finish(self) -> None:
        """Retire all."""
        self._retire(self.rows[: self.count])
        self.count = 0
        self._of_key.clear()

    def half_flows(self, packets: Packets) -> Ints:
        """Give each packet's half-flow; new flows get a row."""
        self._restore_ports(packets)
        swapped = _source_is_second(packets)
        high = _in_order(swapped, packets.source_high, packets.target_high)
        low = _in_order(swapped, packets.source_low, packets.target_low)
        port = _in_order(swapped, packets.source_port, packets.target_port)
        ports = port[0] << 16 | port[1]
        keys = hash_rows(high[0], low[0], high[1], low[1], ports, packets.protocol)
        order, begins = group_rows(keys)
        heads = order[begins]
        known = [self._of_key.get(key, _UNKNOWN) for key in keys[heads].tolist()]
        numbers = np.asarray(known, np.int64)
        new = np.flatnonzero(numbers == _UNKNOWN)
        if len(new):
            numbers[new] = np.arange(self.count, self.count + len(new))
            which = heads[new]
            rows = self._append(keys[which])
            for name, ends in (("high", high), ("low", low), ("port", port)):
                rows["ends"][name] = np.stack([column[which] for column in ends], axis=1)
            rows["version"], rows["protocol"] = packets.version[which], packets.protocol[which]
            rows["place"], rows["last_ns"] = packets.place[which], packets.time_ns[which]
            rows["pair"] = -1
            rows["client"] = self._client(packets.take(which), swapped[which].astype(np.int64))
        flow = np.empty(len(packets), np.int64)
        flow[order] = numbers[np.cumsum(begins) - 1]
        np.maximum.at(self.rows["last_ns"], flow, packets.time_ns)
        return flow * 2 + swapped

    def add(self, half: Ints, length: Ints) -> None:
        """Count packets and their bytes."""
        at = half >> 1, half & 1
        np.add.at(self.rows["packets"], at, 1)
        np.add.at(self.rows["bytes"], at, length)

    def follow_nat(self, half: Ints, sightings: Sightings, count_before: int) -> None:
        """Where a packet was seen again under other addresses, note where it went in the end.

        `count_before`: of flows, before this batch.
        """
        first_half = sightings.first_half
        again = np.flatnonzero(~sightings.first & (first_half != half) & (first_half >= 0))
        if not len(again):
            return
        new = half[again] >> 1 >= count_before
        if new.any():  # a flow that begins with a further sighting continues another
            _, firsts = np.unique(half >> 1, return_index=True)
            begins = np.zeros(len(half), np.bool_)
            begins[firsts] = True
            self.rows["continues"][half[again][new & begins[again]] >> 1] = True
        rank, source = sightings.rank[again], first_half[again]
        latest = rank >= self.rows["to_rank"][source >> 1, source & 1]
        order = np.argsort(rank[latest], kind="stable")  # assigned in this order: the last stays
        packets = again[latest][order]
        source, target = first_half[packets], half[packets]
        at, to = (source >> 1, source & 1), (target >> 1, 1 - (target & 1))
        self.rows["to"][at] = self.rows["ends"][to]
        self.rows["to_rank"][at] = sightings.rank[packets]
        fresh = ~self.rows["rewritten"][at]
        self.rows["rewritten"][at] = True
        self.rows["pair"][source[fresh] >> 1] = -1
        self.rows["pair"][target[fresh] >> 1] = -1

    def _append(self, keys: Hashes) -> Rows:
        begin, self.count = self.count, self.count + len(keys)
        if self.count > len(self.rows):
            grown = np.zeros(max(self.count, 2 * len(self.rows)), FLOW)
            grown[:begin] = self.rows[:begin]
            self.rows = grown
        self.rows[begin : self.count] = np.zeros(1, FLOW)
        self.rows["key"][begin : self.count] = keys
        self._of_key.update(zip(keys.tolist(), range(begin, self.count), strict=True))
        return self.rows[begin : self.count]

    def _client(self, packets: Packets, sender: Ints) -> Ints:
        """Decide which end opened a flow, by its first packet and that one's sender.

        A SYN's sender did; else the end without a server's port; else the one with the higher
        port; else the sender.
        """
        source, target = packets.source_port, packets.target_port
        client = sender.copy()
        source_serves = np.isin(source, self._server_ports)
        target_serves = np.isin(target, self._server_ports)
        by_source = source_serves & ~target_serves
        by_source |= (source_serves == target_serves) & (source < target)
        client[by_source] = 1 - sender[by_source]
        opening = np.where(packets.protocol == IPPROTO_TCP, packets.flags & (SYN | ACK), 0)
        asks, accepts = opening == SYN, opening == SYN | ACK
        client[asks] = sender[asks]
        client[accepts] = 1 - sender[accepts]
        return client

    def _restore_ports(self, packets: Packets) -> None:
        """Give later fragments the ports of their first one, if that came before them."""
        for row in np.flatnonzero(packets.fragment).tolist():
            key = tuple(int(getattr(packets, name)[row]) for name in _FRAGMENT_KEY)
            if packets.fragment[row] == FIRST:
                if len(self._fragments) >= _MAX_FRAGMENTS:
                    self._fragments.clear()
                ports = int(packets.source_port[row]), int(packets.target_port[row])
                self._fragments[key] = ports
            elif packets.fragment[row] == LATER:
                ports = self._fragments.get(key, (0, 0))
                packets.source_port[row], packets.target_port[row] = ports


def _in_order(swapped: Flags, source: Column, target: Column) -> tuple[Column, Column]:
    """Give a column of the first ends, and of the second."""
    return np.where(swapped, target, source), np.where(swapped, source, target)


def _source_is_second(packets: Packets) -> Flags:
    """Order a packet's ends by address, then by port."""
    second = packets.source_port > packets.target_port
    same_low = packets.source_low == packets.target_low
    second = np.where(same_low, second, packets.source_low > packets.target_low)
    same_high = packets.source_high == packets.target_high
    return np.asarray(np.where(same_high, second, packets.source_high > packets.target_high))

"""Every connection met, in one table of columns: who, how much, and what TCP needs to remember.

A *flow* is two ends (address and port) and a protocol; its two *half-flows* are its directions,
numbered twice the flow's number, plus one towards the end that is first in order. The table is
bounded: when it is full, the flows that were silent longest go into the `TrafficTotals`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from twinstack.observe.traffic import protocols as h
from twinstack.observe.traffic.packets import (
    FIRST,
    LATER,
    Flags,
    Ints,
    Packets,
    group_rows,
    hash_rows,
)

#: FlowTable remembered at once; about 300 bytes each.
MOST_FLOWS = 1 << 16
_FRAGMENTS = 1 << 14
_UNKNOWN = -1

FLOW = np.dtype(
    [
        ("key", "u8"),
        ("version", "u1"),
        ("protocol", "i4"),
        # Its ends; an end's own half-flow is the one that it sends.
        ("high", "u8", 2),
        ("low", "u8", 2),
        ("port", "i4", 2),
        # Where each half-flow was last seen going to, when NAT has rewritten it.
        ("to_high", "u8", 2),
        ("to_low", "u8", 2),
        ("to_port", "i4", 2),
        ("rewritten", "?", 2),
        ("to_rank", "u4", 2),
        ("client", "i1"),
        ("continues", "?"),
        ("place", "i8"),
        ("last_ns", "i8"),
        ("packets", "i8", 2),
        ("bytes", "i8", 2),
        ("connections", "i8"),
        ("pair", "i4"),
        # TCP, at the place where the flow was first seen.
        ("known", "?", 2),
        ("highest", "i8", 2),
        ("opened", "?"),
        ("syn_seq", "i8"),
        ("syn_ns", "i8"),
        ("accepted_ns", "i8"),
        ("resent", "i8", 2),
        ("resets", "i8", 2),
        ("zero_windows", "i8", 2),
    ]
)


class FlowTable:
    """The table. `retire` is given the rows that leave it."""

    def __init__(self, server_ports: tuple[int, ...], retire: Callable[[np.ndarray], None]) -> None:
        self.table = np.zeros(1024, FLOW)
        self.count = 0
        self._of_key: dict[int, int] = {}
        self._fragments: dict[tuple[int, ...], tuple[int, int]] = {}
        self._server_ports = np.asarray(server_ports, np.int64)
        self._retire = retire

    def room_for(self, packets: int) -> Ints | None:
        """Make room; gives where each half-flow went (-1: retired), None when all stayed."""
        if self.count + packets <= MOST_FLOWS or not self.count:
            return None
        keep = max(MOST_FLOWS // 2 - packets, 0)
        order = np.argsort(self.table["last_ns"][: self.count], kind="stable")
        gone, kept = order[: self.count - keep], np.sort(order[self.count - keep :])
        self._retire(self.table[gone])
        moved = np.full(self.count, -1, np.int64)
        moved[kept] = np.arange(len(kept))
        self.table[: len(kept)] = self.table[kept]
        self.count = len(kept)
        self._of_key = dict(
            zip(self.table["key"][: self.count].tolist(), range(self.count), strict=True)
        )
        halves = np.repeat(moved * 2, 2)
        halves[1::2] += 1
        halves[np.repeat(moved, 2) < 0] = -1
        return halves

    def finish(self) -> None:
        """Retire all."""
        self._retire(self.table[: self.count])
        self.count = 0
        self._of_key.clear()

    def halves(self, packets: Packets) -> Ints:
        """Give each packet's half-flow; unknown flows are entered."""
        self._give_ports(packets)
        swapped = _greater(packets)
        first_high = np.where(swapped, packets.target_high, packets.source_high)
        first_low = np.where(swapped, packets.target_low, packets.source_low)
        second_high = np.where(swapped, packets.source_high, packets.target_high)
        second_low = np.where(swapped, packets.source_low, packets.target_low)
        first_port = np.where(swapped, packets.target_port, packets.source_port)
        second_port = np.where(swapped, packets.source_port, packets.target_port)
        keys = hash_rows(
            first_high,
            first_low,
            second_high,
            second_low,
            first_port << 16 | second_port,
            packets.protocol,
        )
        order, begins = group_rows(keys)
        heads = order[begins]
        wanted = keys[heads].tolist()
        numbers = np.asarray([self._of_key.get(key, _UNKNOWN) for key in wanted], np.int64)
        new = np.flatnonzero(numbers == _UNKNOWN)
        if len(new):
            numbers[new] = np.arange(self.count, self.count + len(new))
            rows = heads[new]
            self._enter(
                packets,
                rows,
                keys[rows],
                (first_high[rows], second_high[rows]),
                (first_low[rows], second_low[rows]),
                (first_port[rows], second_port[rows]),
            )
        flow = np.empty(len(packets), np.int64)
        flow[order] = numbers[np.cumsum(begins) - 1]
        np.maximum.at(self.table["last_ns"], flow, packets.time_ns)
        return flow * 2 + swapped

    def _enter(
        self,
        packets: Packets,
        rows: Ints,
        keys: np.ndarray,
        high: tuple[np.ndarray, np.ndarray],
        low: tuple[np.ndarray, np.ndarray],
        port: tuple[np.ndarray, np.ndarray],
    ) -> None:
        begin, end = self.count, self.count + len(rows)
        if end > len(self.table):
            grown = np.zeros(max(end, 2 * len(self.table)), FLOW)
            grown[:begin] = self.table[:begin]
            self.table = grown
        self.table[begin:end] = np.zeros(1, FLOW)
        new = self.table[begin:end]
        new["key"] = keys
        new["version"], new["protocol"] = packets.version[rows], packets.protocol[rows]
        for side in (0, 1):
            new["high"][:, side], new["low"][:, side] = high[side], low[side]
            new["port"][:, side] = port[side]
        new["place"] = packets.place[rows]
        new["last_ns"] = packets.time_ns[rows]
        new["pair"] = -1
        new["client"] = self._client(packets, rows)
        self.count = end
        self._of_key.update(zip(keys.tolist(), range(begin, end), strict=True))

    def _client(self, packets: Packets, rows: Ints) -> Ints:
        """Guess who opened a flow by its first packet: 0 the end first in order, 1 the other.

        A SYN says it; else the end with a server's port serves; else the lower port; else who
        spoke first is the client.
        """
        sender = _greater(packets)[rows].astype(np.int64)
        source, target = packets.source_port[rows], packets.target_port[rows]
        client = sender.copy()
        serves = np.isin(source, self._server_ports), np.isin(target, self._server_ports)
        by_source = serves[0] & ~serves[1] | (serves[0] == serves[1]) & (source < target)
        client[by_source] = 1 - sender[by_source]
        tcp = packets.protocol[rows] == h.TCP
        opening = packets.flags[rows] & (h.SYN | h.ACK)
        asked, accepted = tcp & (opening == h.SYN), tcp & (opening == h.SYN | h.ACK)
        client[asked] = sender[asked]
        client[accepted] = 1 - sender[accepted]
        return client

    def _give_ports(self, packets: Packets) -> None:
        """Give later fragments the ports of their first one, where that came before them."""
        rows = np.flatnonzero(packets.fragment)
        for row in rows.tolist():
            key = (
                int(packets.source_high[row]),
                int(packets.source_low[row]),
                int(packets.target_high[row]),
                int(packets.target_low[row]),
                int(packets.protocol[row]),
                int(packets.ip_id[row]),
            )
            if packets.fragment[row] == FIRST:
                if len(self._fragments) >= _FRAGMENTS:
                    self._fragments.clear()
                self._fragments[key] = (
                    int(packets.source_port[row]),
                    int(packets.target_port[row]),
                )
            elif packets.fragment[row] == LATER:
                ports = self._fragments.get(key, (0, 0))
                packets.source_port[row], packets.target_port[row] = ports


def _greater(packets: Packets) -> Flags:
    """Tell whether the source comes after the destination in order: by address, then by port."""
    found = packets.source_port > packets.target_port
    same_low = packets.source_low == packets.target_low
    found = np.where(same_low, found, packets.source_low > packets.target_low)
    same_high = packets.source_high == packets.target_high
    return np.asarray(np.where(same_high, found, packets.source_high > packets.target_high))

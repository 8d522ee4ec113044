"""Count a packet once, however many interfaces saw it.

The rule. Two sightings are of one packet when they agree in everything that routers and NAT leave
alone: IP version, protocol, identification, length, fragment offset; TCP's sequence and
acknowledgement numbers, flags and window; a datagram's first bytes. A *view* is one way to see it:
at one interface, with one TTL, and for TCP with one pair of addresses and ports. A view never sees
a packet twice, so what it sees a second time is a second packet (a retransmission without an
identification of its own): the n-th such packet of one view is the n-th of every other. So a
packet counts as often as the view that saw it most often counts it.

A packet is counted where and when it was first seen. Where it is seen later under other addresses,
NAT has rewritten it: it goes from the source of its first sighting to the destination of its last.

All this holds while sightings are at most a second apart, and for the latest `REMEMBERED`.
"""

from __future__ import annotations

from dataclasses import dataclass
from socket import IPPROTO_TCP
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinstack.observe.traffic.columns import Flags, Hashes, Ints, group_rows, hash_rows
from twinstack.observe.traffic.packets import Packets

REMEMBERED = 1 << 15
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Sightings:
    """What the sightings of a batch are, one element per packet."""

    first: Flags  # the packet's first sighting
    first_half: Ints  # the half-flow of its first sighting
    first_place: Ints  # the interface of its first sighting
    rank: Ints  # 0 for the first sighting, 1 for the second, …


class Deduplicator:
    """Tells first sightings from further ones. Packets must come in the order of their time."""

    def __init__(self) -> None:
        self._memory: dict[str, NDArray[Any]] = {}  # the latest sightings, as columns

    def sightings(self, packets: Packets, half: Ints) -> Sightings:
        """Classify packets. `half` is each one's half-flow (`flow_table`)."""
        # No two connections agree in TCP's numbers, so other addresses there are NAT's work even
        # without a router's; two datagrams may be alike, sent to several servers.
        flow = np.where(packets.protocol == IPPROTO_TCP, half + 1, 0)
        columns: dict[str, NDArray[Any]] = {
            "time_ns": packets.time_ns,
            "same": packets.same,
            "view": hash_rows(packets.same, packets.place, flow, packets.ttl),
            "nth": np.zeros(len(packets), np.int64),
            "half": half,
            "place": packets.place,
        }
        memory, old = self._memory, 0
        if memory:
            old = len(memory["same"])
            columns = {name: np.concatenate([memory[name], columns[name]]) for name in columns}
        time_ns: Ints = columns["time_ns"]
        nth = columns["nth"] = _number(columns["view"], time_ns, columns["nth"], old)
        # A cooked capture hides several interfaces in one: nothing tells its views apart.
        nth[old:][packets.cooked] = 0
        order, starts, group = _groups(hash_rows(columns["same"], nth), time_ns)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) - starts[group]
        first = np.empty(len(order), np.int64)
        first[order] = order[starts][group]
        begin = max(len(order) - REMEMBERED, 0)
        recent = np.flatnonzero(time_ns[begin:] >= time_ns[-1] - _SECOND_NS) + begin
        self._memory = {name: column[recent] for name, column in columns.items()}
        first = first[old:]
        halves, places = columns["half"], columns["place"]
        return Sightings(rank[old:] == 0, halves[first], places[first], rank[old:])

    def renumber(self, moved: Ints) -> None:
        """Renumber half-flows: `moved[old]` is the new number, -1 for a retired one."""
        if self._memory:
            half = self._memory["half"]
            self._memory["half"] = np.where(half < 0, -1, moved[half])


def _number(view: Hashes, time_ns: Ints, nth: Ints, old: int) -> Ints:
    """Number the packets of each view, continuing from the `old` ones, which are remembered."""
    order, starts, group = _groups(view, time_ns)
    if len(starts) == len(order):
        return nth
    base = nth[order[starts]]  # remembered ones stand before the new ones
    numbered = np.empty(len(order), np.int64)
    numbered[order] = base[group] + np.arange(len(order)) - starts[group]
    numbered[:old] = nth[:old]
    return numbered


def _groups(keys: Hashes, time_ns: Ints) -> tuple[Ints, Ints, Ints]:
    """Group equal keys without a pause of more than a second: order, starts, group of each."""
    order, begins = group_rows(keys)
    times = time_ns[order]
    begins[1:] |= times[1:] - times[:-1] > _SECOND_NS
    return order, np.flatnonzero(begins), np.cumsum(begins) - 1

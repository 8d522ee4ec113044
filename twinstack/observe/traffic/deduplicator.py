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

import numpy as np

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
        self._time_ns: Ints = np.zeros(0, np.int64)
        self._same: Hashes = np.zeros(0, np.uint64)
        self._view: Hashes = np.zeros(0, np.uint64)
        self._nth: Ints = np.zeros(0, np.int64)
        self._half: Ints = np.zeros(0, np.int64)
        self._place: Ints = np.zeros(0, np.int64)

    def sightings(self, packets: Packets, half: Ints) -> Sightings:
        """Classify packets. `half` is each one's half-flow (`flow_table`)."""
        old = len(self._same)
        same = np.concatenate([self._same, packets.same])
        # No two connections agree in TCP's numbers, so other addresses there are NAT's work even
        # without a router's; two datagrams may be alike, sent to several servers.
        flow = np.where(packets.protocol == IPPROTO_TCP, half + 1, 0)
        view = hash_rows(packets.same, packets.place, flow, packets.ttl)
        view = np.concatenate([self._view, view])
        halves = np.concatenate([self._half, half])
        places = np.concatenate([self._place, packets.place])
        time_ns = np.concatenate([self._time_ns, packets.time_ns])
        nth = np.concatenate([self._nth, np.zeros(len(packets), np.int64)])
        nth = self._number(view, time_ns, nth, old)
        # A cooked capture hides several interfaces in one: nothing tells its views apart.
        nth[old:][packets.cooked] = 0
        order, begins = _split_seconds(time_ns, *group_rows(hash_rows(same, nth)))
        group = np.cumsum(begins) - 1
        starts = np.flatnonzero(begins)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) - starts[group]
        first = np.empty(len(order), np.int64)
        first[order] = order[starts][group]
        self._remember(time_ns, same, view, nth, halves, places)
        first = first[old:]
        return Sightings(rank[old:] == 0, halves[first], places[first], rank[old:])

    def renumber(self, moved: Ints) -> None:
        """Renumber half-flows: `moved[old]` is the new number, -1 for a retired one."""
        if len(self._half):
            self._half = np.where(self._half < 0, -1, moved[self._half])

    def _number(self, view: Hashes, time_ns: Ints, nth: Ints, old: int) -> Ints:
        """Number the packets of each view, continuing from the remembered ones."""
        order, begins = _split_seconds(time_ns, *group_rows(view))
        group = np.cumsum(begins) - 1
        starts = np.flatnonzero(begins)
        if len(starts) == len(order):
            return nth
        base = nth[order[starts]]  # remembered ones stand before the new ones
        numbered = np.empty(len(order), np.int64)
        numbered[order] = base[group] + np.arange(len(order)) - starts[group]
        numbered[:old] = nth[:old]
        return numbered

    def _remember(
        self, time_ns: Ints, same: Hashes, view: Hashes, nth: Ints, half: Ints, place: Ints
    ) -> None:
        begin = max(len(same) - REMEMBERED, 0)
        recent = np.flatnonzero(time_ns[begin:] >= time_ns[-1] - _SECOND_NS) + begin
        self._time_ns, self._same, self._view = time_ns[recent], same[recent], view[recent]
        self._nth, self._half, self._place = nth[recent], half[recent], place[recent]


def _split_seconds(time_ns: Ints, order: Ints, begins: Flags) -> tuple[Ints, Flags]:
    """Begin another group after a pause of more than a second."""
    times = time_ns[order]
    begins[1:] |= times[1:] - times[:-1] > _SECOND_NS
    return order, begins

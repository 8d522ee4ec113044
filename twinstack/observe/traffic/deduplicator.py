"""Count a packet once, however many places saw it.

The rule. Two sights are of one packet when all agrees that routers and NAT leave alone: IP version,
protocol, identification, length, fragment offset; TCP's sequence, acknowledgement, flags and
window; the first bytes of a datagram. A *view* is one way to see it: at one place, with one TTL,
and for TCP with one pair of addresses and ports. A view never sees a packet twice, so what it sees
a second time is a second packet (a retransmission without an identification of its own): the n-th
such packet of one view is the n-th of every other. So a packet counts as often as the view counts
it that saw it most often.

A packet is counted where and when it was first seen. Where it was seen later under other
addresses, NAT has rewritten it: then it goes from the source of its first sight to the destination
of its last.

All this holds while sights are no more than a second apart, and for the latest `REMEMBERED`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twinstack.observe.traffic.packets import Flags, Hashes, Ints, Packets, group_rows, hash_rows
from twinstack.observe.traffic.protocols import TCP

REMEMBERED = 1 << 15
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Sightings:
    """Of each packet: is this its first sight, and if not, as which half-flow and where it was
    seen first. `rank` is 0 for a first sight, 1 for the second, and so on.
    """

    first: Flags
    first_half: Ints
    first_place: Ints
    rank: Ints


class Deduplicator:
    """Tells first sights from further ones. Packets must come in the order of their time."""

    def __init__(self) -> None:
        self._time_ns: Ints = np.zeros(0, np.int64)
        self._same: Hashes = np.zeros(0, np.uint64)
        self._view: Hashes = np.zeros(0, np.uint64)
        self._nth: Ints = np.zeros(0, np.int64)
        self._half: Ints = np.zeros(0, np.int64)
        self._place: Ints = np.zeros(0, np.int64)

    def look(self, packets: Packets, half: Ints) -> Sightings:
        """Judge packets. `half` is each one's half-flow (`flows`)."""
        old = len(self._same)
        same = np.concatenate([self._same, packets.same])
        # No two connections agree in TCP's numbers, so other addresses there are NAT's work even
        # without a router's; two datagrams may be alike, sent to several servers.
        ways = np.where(packets.protocol == TCP, half + 1, 0)
        view = np.concatenate(
            [self._view, hash_rows(packets.same, packets.place, ways, packets.ttl)]
        )
        halves = np.concatenate([self._half, half])
        places = np.concatenate([self._place, packets.place])
        time_ns = np.concatenate([self._time_ns, packets.time_ns])
        nth = np.concatenate([self._nth, np.zeros(len(packets), np.int64)])
        nth = self._number(view, time_ns, nth, old)
        # A cooked capture hides several interfaces in one: there nothing tells views apart.
        nth[old:][packets.cooked] = 0
        order, begins = _apart(time_ns, *group_rows(hash_rows(same, nth)))
        group = np.cumsum(begins) - 1
        starts = np.flatnonzero(begins)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) - starts[group]
        origin = np.empty(len(order), np.int64)
        origin[order] = order[starts][group]
        self._remember(time_ns, same, view, nth, halves, places)
        mine = origin[old:]
        return Sightings(rank[old:] == 0, halves[mine], places[mine], rank[old:])

    def forget(self, moved: Ints) -> None:
        """Take new numbers of half-flows: `moved[old]` is the new one, -1 for one that is gone."""
        if len(self._half):
            self._half = np.where(self._half < 0, -1, moved[self._half])

    def _number(self, view: Hashes, time_ns: Ints, nth: Ints, old: int) -> Ints:
        """Number the packets of each view from what is remembered of it on."""
        order, begins = _apart(time_ns, *group_rows(view))
        group = np.cumsum(begins) - 1
        starts = np.flatnonzero(begins)
        if len(starts) == len(order):
            return nth
        base = nth[order[starts]]  # a remembered one stands before the new ones
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


def _apart(time_ns: Ints, order: Ints, begins: Flags) -> tuple[Ints, Flags]:
    """Begin another group where more than a second lies between."""
    times = time_ns[order]
    begins[1:] |= times[1:] - times[:-1] > _SECOND_NS
    return order, begins

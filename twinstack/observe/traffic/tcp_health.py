"""How TCP does, each connection looked at in one place: what was resent, and how long it took.

*Resent* is a segment that begins before the highest byte already sent in its direction: a
retransmission, or one that was overtaken. A keep-alive (one byte below, alone) is none.
*Handshake* is the time from a SYN to the ACK that answers the SYN+ACK: one round trip, and what
the peers took. *Acknowledged* is the time from a segment to the ACK of just its end: an upper
bound of a round trip, as the receiver may wait. Source: RFC 9293.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinstack.observe.traffic import protocols as h
from twinstack.observe.traffic.packets import Flags, Hashes, Ints, Packets, group_rows, hash_rows

_FAR = np.int64(1 << 40)
_APART = np.int64(1 << 42)
_NEVER = np.int64((1 << 63) - 1)
_UNACKED = 1 << 14
_U32 = np.int64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class FlowTimes:
    """Flows, and how long something took in each. Units: nanoseconds."""

    flow: Ints
    took_ns: Ints


@dataclass(frozen=True, slots=True)
class TcpFindings:
    """`resent` and `over` have an element for each packet; `over`: what this connection's ends
    said before is not answered any more, as it opens another one, or resets it.
    """

    resent: Flags
    over: Flags
    handshakes: FlowTimes
    acknowledged: FlowTimes


class TcpTracker:
    """Follows connections; their state is in the table of `flows`."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Let go of segments that wait for their acknowledgement: flows got other numbers."""
        self._keys: Hashes = np.zeros(0, np.uint64)
        self._flows: Ints = np.zeros(0, np.int64)
        self._times: Ints = np.zeros(0, np.int64)

    def examine(self, table: NDArray[np.void], packets: Packets, half: Ints) -> TcpFindings:
        """Take TCP packets in the order of their time, each connection's as seen in one place."""
        flow, side = half >> 1, half & 1
        np.add.at(table["resets"], (flow, side), (packets.flags & h.RST != 0).astype(np.int64))
        stopped = (packets.window == 0) & (packets.flags & (h.SYN | h.FIN | h.RST) == 0)
        np.add.at(table["zero_windows"], (flow, side), (stopped & ~packets.cut).astype(np.int64))
        parts = _Parts.of(table, packets, flow, side)
        resent, ends = _resent(table, packets, flow, side, parts)
        handshakes = _handshakes(table, packets, flow, side, parts)
        over = packets.flags & h.RST != 0
        over[parts.order[parts.begins[parts.fresh]]] = True
        return TcpFindings(
            resent, over, handshakes, self._acknowledged(packets, flow, side, ends, resent)
        )

    def _acknowledged(
        self, packets: Packets, flow: Ints, side: Ints, ends: Ints, resent: Flags
    ) -> FlowTimes:
        sent = np.flatnonzero((packets.payload > 0) & ~resent)
        acks = np.flatnonzero(packets.flags & h.ACK)
        keys = np.concatenate(
            [
                self._keys,
                hash_rows(flow[sent] * 2 + side[sent], ends[sent] & _U32),
                hash_rows(flow[acks] * 2 + 1 - side[acks], packets.ack[acks]),
            ]
        )
        if not len(keys):
            return FlowTimes(self._flows, self._times)
        flows = np.concatenate([self._flows, flow[sent], flow[acks]])
        times = np.concatenate([self._times, packets.time_ns[sent], packets.time_ns[acks]])
        first_ack = len(keys) - len(acks)
        order, begins = group_rows(keys)
        starts = np.flatnonzero(begins)
        heads = order[starts]  # a segment, if there is one: they stand before the ACKs
        far = len(order)
        at = np.minimum.reduceat(np.where(order >= first_ack, np.arange(far), far), starts)
        waiting = heads < first_ack
        done = waiting & (at < far)
        acked = order[at[done]]
        took = times[acked] - times[heads[done]]
        kept = heads[waiting & (at == far)][-_UNACKED:]
        found = FlowTimes(flows[heads[done]][took >= 0], took[took >= 0])
        self._keys, self._flows, self._times = keys[kept], flows[kept], times[kept]
        return found


@dataclass(frozen=True, slots=True)
class _Parts:
    """Packets sorted by flow, and cut into parts where a SYN begins another connection in it."""

    order: Ints
    part: Ints  # of each packet in that order
    begins: Ints  # where in that order each part begins
    fresh: Flags  # this part begins with a SYN; if not, it goes on from what was known before
    last: Flags  # no later part of this flow follows

    @classmethod
    def of(cls, table: NDArray[np.void], packets: Packets, flow: Ints, side: Ints) -> _Parts:
        order, begins = group_rows(flow)
        opening = packets.flags[order] & (h.SYN | h.ACK) == h.SYN
        asks = np.flatnonzero(opening)
        ask_flow, ask_seq = flow[order][asks], packets.seq[order][asks]
        before = np.where(table["opened"][ask_flow], table["syn_seq"][ask_flow], -1)
        same = np.flatnonzero(ask_flow[1:] == ask_flow[:-1]) + 1
        before[same] = ask_seq[same - 1]
        new = asks[before != ask_seq]
        fresh = np.zeros(len(order), np.bool_)
        fresh[new] = True
        table["opened"][ask_flow] = True
        table["syn_seq"][ask_flow] = ask_seq
        table["client"][flow[order][new]] = side[order][new]
        np.add.at(table["connections"], flow[order][new], 1)
        cuts = begins | fresh
        starts = np.flatnonzero(cuts)
        flows = flow[order][starts]
        last = np.ones(len(starts), np.bool_)
        last[:-1] = flows[1:] != flows[:-1]
        return cls(order, np.cumsum(cuts) - 1, starts, fresh[starts], last)


def _resent(
    table: NDArray[np.void], packets: Packets, flow: Ints, side: Ints, parts: _Parts
) -> tuple[Flags, Ints]:
    """Tell which segments were sent before, and where each ends (32 bits of it count)."""
    inner, begins = group_rows(parts.part * 2 + side[parts.order])
    order = parts.order[inner]
    group, starts = np.cumsum(begins) - 1, np.flatnonzero(begins)
    heads = order[starts]
    part = parts.part[inner][starts]
    known = table["known"][flow[heads], side[heads]] & ~parts.fresh[part]
    highest = table["highest"][flow[heads], side[heads]]
    seq = packets.seq[order]
    head_seq = seq[starts]
    base = np.where(known, highest + _signed(head_seq - highest), head_seq)
    steps = np.zeros(len(order), np.int64)
    steps[1:] = _signed(seq[1:] - seq[:-1])
    steps[starts] = 0
    sums = np.cumsum(steps)
    begin = sums - sums[starts][group]  # relative to the group's base
    flags = packets.flags[order]
    marks = (flags & h.SYN != 0).astype(np.int64) + (flags & h.FIN != 0)
    size = packets.payload[order] + marks
    end = np.clip(begin + size, -_FAR, _FAR)
    before = np.where(known, np.clip(highest - base, -_FAR, _FAR), -_FAR)
    reached = np.maximum.accumulate(end + group * _APART) - group * _APART
    reached = np.maximum(reached, before[group])
    passed = np.empty(len(order), np.int64)
    passed[1:] = reached[:-1]
    passed[starts] = before
    alive = (begin == passed - 1) & (packets.payload[order] <= 1) & (marks == 0)
    again = (size > 0) & (begin < passed) & ~alive & (flags & h.RST == 0)
    np.add.at(table["resent"], (flow[order], side[order]), again.astype(np.int64))
    stops = np.append(starts[1:], len(order)) - 1
    fresh_flows = flow[parts.order[parts.begins[parts.fresh]]]
    table["known"][fresh_flows] = False
    kept = parts.last[part]
    rows = (flow[heads[kept]], side[heads[kept]])
    table["known"][rows] = True
    table["highest"][rows] = (base + reached[stops])[kept]
    resent, ends = np.zeros(len(order), np.bool_), np.zeros(len(order), np.int64)
    resent[order], ends[order] = again, seq + size
    return resent, ends


def _handshakes(
    table: NDArray[np.void], packets: Packets, flow: Ints, side: Ints, parts: _Parts
) -> FlowTimes:
    """Find those that end here, and keep what is known of the others."""
    order, part = parts.order, parts.part
    flows = flow[order[parts.begins]]
    times = packets.time_ns[order]
    goes_on = ~parts.fresh
    asked = np.where(parts.fresh, times[parts.begins], np.where(goes_on, table["syn_ns"][flows], 0))
    accepted = np.where(
        goes_on & (table["accepted_ns"][flows] > 0), table["accepted_ns"][flows], _NEVER
    )
    flags = packets.flags[order] & (h.SYN | h.ACK | h.RST)
    rows = np.flatnonzero(flags == h.SYN | h.ACK)
    np.minimum.at(accepted, part[rows], times[rows])
    ended = np.full(len(flows), _NEVER)
    by_client = side[order] == table["client"][flow[order]]
    rows = np.flatnonzero((flags == h.ACK) & by_client & (times >= accepted[part]))
    np.minimum.at(ended, part[rows], times[rows])
    done = (asked > 0) & (accepted >= asked) & (ended < _NEVER)
    keep = parts.last
    waits = keep & ~done
    table["syn_ns"][flows[keep]] = 0
    table["accepted_ns"][flows[keep]] = 0
    table["syn_ns"][flows[waits]] = asked[waits]
    table["accepted_ns"][flows[waits]] = np.where(accepted < _NEVER, accepted, 0)[waits]
    return FlowTimes(flows[done], (ended - asked)[done])


def _signed(difference: Ints) -> Ints:
    """Read a difference of sequence numbers modulo 2^32, as RFC 9293 compares them."""
    return (difference & _U32).astype(np.uint32).astype(np.int32).astype(np.int64)

"""TCP's health, each connection observed at one interface: what was resent, and how long it took.

*Resent* is a segment that begins before the highest byte already sent in its direction: a
retransmission, or one that was overtaken; a keep-alive (one byte below, alone) is neither.
*Handshake* is the time from a SYN to the ACK of the SYN+ACK: one round trip, and the peers' own
time. *Acknowledged* is the time from a segment to the ACK of exactly its end: an upper bound of a
round trip, as the receiver may delay it. Source: RFC 9293.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twinstack.observe.traffic.columns import Flags, Hashes, Ints, Rows, group_rows, hash_rows
from twinstack.observe.traffic.packets import Packets
from twinstack.observe.traffic.protocols import ACK, FIN, RST, SYN

#: Flows, and how many nanoseconds something took in each.
FlowTimes = tuple[Ints, Ints]
#: What is timed.
HANDSHAKE, ACKNOWLEDGED = "handshake", "acknowledged"

_FAR = np.int64(1 << 40)  # beyond every distance of sequence numbers
_GROUP_STEP = np.int64(1 << 42)  # keeps groups apart in one running maximum
_NEVER = np.int64((1 << 63) - 1)
_MAX_UNACKED = 1 << 14
_U32 = np.int64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class TcpFindings:
    """What a batch's packets say of their connections."""

    resent: Flags  # per packet
    ended: Flags  # per packet: no earlier request is answered any more (a new SYN, or a reset)
    times: dict[str, FlowTimes]  # HANDSHAKE, ACKNOWLEDGED


class TcpTracker:
    """Follows connections; their state is in the rows of the flow table."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Drop the segments that wait for their acknowledgement: flows were renumbered."""
        self._keys: Hashes = np.zeros(0, np.uint64)
        self._flows: Ints = np.zeros(0, np.int64)
        self._times: Ints = np.zeros(0, np.int64)

    def examine(self, table: Rows, packets: Packets, half: Ints) -> TcpFindings:
        """Follow TCP packets, sorted by time, each connection's as one interface saw them."""
        flow, side = half >> 1, half & 1
        np.add.at(table["resets"], (flow, side), (packets.flags & RST != 0).astype(np.int64))
        full = (packets.window == 0) & (packets.flags & (SYN | FIN | RST) == 0)
        np.add.at(table["zero_windows"], (flow, side), (full & ~packets.cut).astype(np.int64))
        parts = _Parts.of(table, packets, flow, side)
        resent, ends = _resent(table, packets, flow, side, parts)
        handshakes = _handshakes(table, packets, flow, side, parts)
        ended = packets.flags & RST != 0
        ended[parts.order[parts.begins[parts.fresh]]] = True
        acknowledged = self._acknowledged(packets, flow, side, ends, resent)
        return TcpFindings(resent, ended, {HANDSHAKE: handshakes, ACKNOWLEDGED: acknowledged})

    def _acknowledged(
        self, packets: Packets, flow: Ints, side: Ints, ends: Ints, resent: Flags
    ) -> FlowTimes:
        sent = np.flatnonzero((packets.payload > 0) & ~resent)
        acks = np.flatnonzero(packets.flags & ACK)
        sent_keys = hash_rows(flow[sent] * 2 + side[sent], ends[sent] & _U32)
        ack_keys = hash_rows(flow[acks] * 2 + 1 - side[acks], packets.ack[acks])
        keys = np.concatenate([self._keys, sent_keys, ack_keys])
        if not len(keys):
            return self._flows, self._times
        flows = np.concatenate([self._flows, flow[sent], flow[acks]])
        times = np.concatenate([self._times, packets.time_ns[sent], packets.time_ns[acks]])
        first_ack = len(keys) - len(acks)
        order, begins = group_rows(keys)
        starts = np.flatnonzero(begins)
        heads = order[starts]  # a segment, if there is one: they stand before the ACKs
        none = len(order)
        at = np.minimum.reduceat(np.where(order >= first_ack, np.arange(none), none), starts)
        waiting = heads < first_ack
        done = waiting & (at < none)
        acked = order[at[done]]
        took = times[acked] - times[heads[done]]
        kept = heads[waiting & (at == none)][-_MAX_UNACKED:]
        times_taken = flows[heads[done]][took >= 0], took[took >= 0]
        self._keys, self._flows, self._times = keys[kept], flows[kept], times[kept]
        return times_taken


@dataclass(frozen=True, slots=True)
class _Parts:
    """Packets sorted by flow, split into parts where a SYN begins another connection."""

    order: Ints
    part: Ints  # of each packet in that order
    begins: Ints  # where in that order each part begins
    fresh: Flags  # this part begins with a SYN; the others continue an earlier batch
    last: Flags  # no later part of this flow follows

    @classmethod
    def of(cls, table: Rows, packets: Packets, flow: Ints, side: Ints) -> _Parts:
        order, begins = group_rows(flow)
        syns = np.flatnonzero(packets.flags[order] & (SYN | ACK) == SYN)
        syn_flow, syn_seq = flow[order][syns], packets.seq[order][syns]
        before = np.where(table["opened"][syn_flow], table["syn_seq"][syn_flow], -1)
        same = np.flatnonzero(syn_flow[1:] == syn_flow[:-1]) + 1
        before[same] = syn_seq[same - 1]
        new = syns[before != syn_seq]
        fresh = np.zeros(len(order), np.bool_)
        fresh[new] = True
        table["opened"][syn_flow] = True
        table["syn_seq"][syn_flow] = syn_seq
        table["client"][flow[order][new]] = side[order][new]
        np.add.at(table["connections"], flow[order][new], 1)
        cuts = begins | fresh
        starts = np.flatnonzero(cuts)
        flows = flow[order][starts]
        last = np.ones(len(starts), np.bool_)
        last[:-1] = flows[1:] != flows[:-1]
        return cls(order, np.cumsum(cuts) - 1, starts, fresh[starts], last)


def _resent(
    table: Rows, packets: Packets, flow: Ints, side: Ints, parts: _Parts
) -> tuple[Flags, Ints]:
    """Find the segments that were sent before, and where each ends (modulo 2^32)."""
    # One group for each half-flow of each part; sequence numbers relative to the group's base.
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
    begin = sums - sums[starts][group]
    flags = packets.flags[order]
    marks = (flags & SYN != 0).astype(np.int64) + (flags & FIN != 0)
    size = packets.payload[order] + marks  # SYN and FIN take a sequence number each
    end = np.clip(begin + size, -_FAR, _FAR)
    # The highest end before each segment: in this batch, or else in an earlier one.
    before = np.where(known, np.clip(highest - base, -_FAR, _FAR), -_FAR)
    reached = np.maximum.accumulate(end + group * _GROUP_STEP) - group * _GROUP_STEP
    reached = np.maximum(reached, before[group])
    passed = np.empty(len(order), np.int64)
    passed[1:] = reached[:-1]
    passed[starts] = before
    keep_alive = (begin == passed - 1) & (packets.payload[order] <= 1) & (marks == 0)
    again = (size > 0) & (begin < passed) & ~keep_alive & (flags & RST == 0)
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


def _handshakes(table: Rows, packets: Packets, flow: Ints, side: Ints, parts: _Parts) -> FlowTimes:
    """Time the handshakes that end in this batch, and keep the state of the others."""
    order, part = parts.order, parts.part
    flows = flow[order[parts.begins]]
    times = packets.time_ns[order]
    asked = np.where(parts.fresh, times[parts.begins], table["syn_ns"][flows])
    accepted = np.where(parts.fresh, 0, table["accepted_ns"][flows])
    accepted[accepted == 0] = _NEVER
    flags = packets.flags[order] & (SYN | ACK | RST)
    rows = np.flatnonzero(flags == SYN | ACK)
    np.minimum.at(accepted, part[rows], times[rows])
    ended = np.full(len(flows), _NEVER)
    by_client = side[order] == table["client"][flow[order]]
    rows = np.flatnonzero((flags == ACK) & by_client & (times >= accepted[part]))
    np.minimum.at(ended, part[rows], times[rows])
    done = (asked > 0) & (accepted >= asked) & (ended < _NEVER)
    keep = parts.last
    waits = keep & ~done
    table["syn_ns"][flows[keep]] = 0
    table["accepted_ns"][flows[keep]] = 0
    table["syn_ns"][flows[waits]] = asked[waits]
    table["accepted_ns"][flows[waits]] = np.where(accepted < _NEVER, accepted, 0)[waits]
    return flows[done], (ended - asked)[done]


def _signed(difference: Ints) -> Ints:
    """Read a difference of sequence numbers modulo 2^32, as RFC 9293 compares them."""
    return (difference & _U32).astype(np.uint32).astype(np.int32).astype(np.int64)

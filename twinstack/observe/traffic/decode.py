"""Read the headers of a batch's packets, all of them at once: from frames to `Packets`.

Every function here takes the rows that it is for and where each one's header begins, fills their
columns, and hands over to the next layer. Sources are named in `headers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twinstack.observe.traffic import protocols as h
from twinstack.observe.traffic.http import HttpMessages
from twinstack.observe.traffic.packets import (
    BAD,
    ETHERTYPE,
    FIRST,
    LATER,
    LLC,
    MAPPED,
    UNKNOWN_LINK,
    Flags,
    Ints,
    Packets,
    hash_rows,
)
from twinstack.observe.traffic.reader import CaptureInterface, RecordBatch, gather
from twinstack.observe.traffic.vxlan import VxlanCarriers

_TAGS_DEEP = 8
_EXTENSIONS_DEEP = 12
_TUNNELS_DEEP = 2
_MAPPED = np.uint64(MAPPED)
_EXTENSIONS = (
    h.HOP_BY_HOP,
    h.ROUTING,
    h.FRAGMENT,
    h.AUTHENTICATION,
    h.OPTIONS,
    h.MOBILITY,
    h.HIP,
    h.SHIM6,
)


@dataclass(slots=True)
class _Rows:
    """Some packets, and for each where the next header is, where what was captured ends, and where
    the packet ended on the wire.
    """

    row: Ints
    at: Ints
    end: Ints
    wire_end: Ints

    def take(self, which: Flags) -> _Rows:
        return _Rows(self.row[which], self.at[which], self.end[which], self.wire_end[which])

    def room(self, size: int) -> Flags:
        return self.at + size <= self.end


class PacketDecoder:
    """Reads headers; keeps what tunnels and HTTP messages were met."""

    def __init__(self, messages: HttpMessages, tunnels: VxlanCarriers) -> None:
        self._messages = messages
        self._tunnels = tunnels

    def packets(
        self, batch: RecordBatch, interfaces: Sequence[CaptureInterface], places: Sequence[int]
    ) -> Packets:
        """Read a batch. `places` gives each of its interfaces' number among all."""
        count = len(batch)
        found = Packets.blank(count)
        found.time_ns = batch.time_ns
        found.length = batch.length.copy()
        found.place = np.asarray(places, np.int64)[batch.interface]
        work = _Batch(batch.data, found, self._messages, self._tunnels)
        number = np.arange(count, dtype=np.int64)
        end = batch.start + batch.captured
        wire_end = np.maximum(batch.start + batch.length, end)
        rows = _Rows(number, batch.start, end, wire_end)
        links = np.asarray([one.link for one in interfaces], np.int64)[batch.interface]
        kinds = np.unique(links)
        for link in kinds.tolist():
            work.link(link, replace(rows) if len(kinds) == 1 else rows.take(links == link))
        work.remember_whole(rows)
        return found


class _Batch:
    """One batch at work: its bytes, and the columns to fill."""

    def __init__(
        self,
        data: NDArray[np.uint8],
        found: Packets,
        messages: HttpMessages,
        tunnels: VxlanCarriers,
    ) -> None:
        self.data = data
        self.found = found
        self.messages = messages
        self.tunnels = tunnels

    # Link layer

    def link(self, link: int, rows: _Rows) -> None:
        """Read the frames of one kind of interface."""
        if link == h.LINK_ETHERNET:
            self.frames(rows, h.ETHERNET_BYTES, h.ETHERNET_BYTES - 2)
        elif link == h.LINK_SLL:
            self.found.cooked[rows.row] = True
            self.frames(rows, h.SLL_BYTES, h.SLL_BYTES - 2)
        elif link == h.LINK_SLL2:
            self._sll2(rows)
        elif link in (h.LINK_NULL, h.LINK_LOOP):
            self._loopback(rows)
        elif link in (h.LINK_RAW, h.LINK_IPV4, h.LINK_IPV6, *h.LINK_RAW_OLD):
            rows = self._whole(rows, 1)
            version = self.data[rows.at] >> 4
            good = (version == 4) | (version == 6)
            self._bad(rows.row[~good])
            self.network(rows.take(good), np.where(version[good] == 4, h.IPV4, h.IPV6))
        else:
            self.found.protocol[rows.row] = UNKNOWN_LINK

    def frames(self, rows: _Rows, size: int, type_at: int, tunnel: int = 0) -> None:
        """Read link headers of a fixed size, with the type of what they carry, and VLAN tags."""
        rows = self._whole(rows, size)
        kind = self._short(rows.at + type_at)
        rows.at = rows.at + size
        for _ in range(_TAGS_DEEP):
            tagged = np.isin(kind, h.VLAN_TAGS) & rows.room(4)
            if not tagged.any():
                break
            kind[tagged] = self._short(rows.at[tagged] + 2)
            rows.at[tagged] += 4
        self.network(rows, kind, tunnel)

    def _sll2(self, rows: _Rows) -> None:
        """Linux's second cooked header names the interface: each is a view of its own."""
        rows = self._whole(rows, h.SLL2_BYTES)
        index = gather(self.data, rows.at + 4, h.WORD)["value"].astype(np.int64)
        self.found.place[rows.row] += index << 20  # beside the number among all interfaces
        kind = self._short(rows.at)
        rows.at = rows.at + h.SLL2_BYTES
        self.network(rows, kind)

    def _loopback(self, rows: _Rows) -> None:
        rows = self._whole(rows, h.FAMILY_BYTES)
        family = gather(self.data, rows.at, h.WORD)["value"].astype(np.int64)
        swapped = family > 0xFFFF  # written in the capturing machine's order
        family[swapped] = family[swapped].astype(np.uint32).byteswap().astype(np.int64)
        kind = np.zeros(len(family), np.int64)
        for number, ethertype in h.FAMILIES.items():
            kind[family == number] = ethertype
        rows.at = rows.at + h.FAMILY_BYTES
        self.network(rows, kind)

    # Network layer

    def network(self, rows: _Rows, kind: Ints, tunnel: int = 0) -> None:
        """Hand rows over by the type of what their frames carry."""
        four, six, arp = kind == h.IPV4, kind == h.IPV6, kind == h.ARP
        if four.all():
            self._ipv4(rows, tunnel)
            return
        for which, read in ((four, self._ipv4), (six, self._ipv6), (arp, self._arp)):
            if which.any():
                read(rows.take(which), tunnel)
        other = ~(four | six | arp)
        if other.any():
            plain = np.where(kind < h.LEAST_ETHERTYPE, LLC, ETHERTYPE + kind)
            self.found.protocol[rows.row[other]] = plain[other]

    def _ipv4(self, rows: _Rows, tunnel: int) -> None:
        rows = self._whole(rows, h.IPV4_HEADER.itemsize)
        head = gather(self.data, rows.at, h.IPV4_HEADER)
        size = (head["version_ihl"] & 15).astype(np.int64) * 4
        good = (head["version_ihl"] >> 4 == 4) & (size >= 20)
        if not good.all():
            self._bad(rows.row[~good])
            rows, head, size = rows.take(good), head[good], size[good]
        found, row = self.found, rows.row
        total = head["length"].astype(np.int64)
        # Zero: the card was to cut it up (a segment larger than the field can say).
        carried_end = np.where(
            total >= size, np.minimum(rows.at + total, rows.wire_end), rows.wire_end
        )
        piece = head["fragment"].astype(np.int64)
        found.version[row] = 4
        found.source_high[row] = found.target_high[row] = 0
        found.source_low[row] = head["source"].astype(np.uint64) | _MAPPED
        found.target_low[row] = head["destination"].astype(np.uint64) | _MAPPED
        found.ttl[row] = head["ttl"]
        found.ip_id[row] = head["id"]
        found.protocol[row] = head["protocol"]
        found.fragment[row] = np.where(piece & 0x1FFF, LATER, np.where(piece & 0x2000, FIRST, 0))
        above = _Rows(row, rows.at + size, np.minimum(rows.end, carried_end), carried_end)
        self.transport(above, head["protocol"].astype(np.int64), piece & 0x1FFF, tunnel)

    def _ipv6(self, rows: _Rows, tunnel: int) -> None:
        rows = self._whole(rows, h.IPV6_HEADER.itemsize)
        head = gather(self.data, rows.at, h.IPV6_HEADER)
        good = head["version"] >> 4 == 6
        if not good.all():
            self._bad(rows.row[~good])
            rows, head = rows.take(good), head[good]
        found, row = self.found, rows.row
        length = head["length"].astype(np.int64)
        found.version[row] = 6
        found.source_high[row], found.source_low[row] = head["source_high"], head["source_low"]
        found.target_high[row] = head["destination_high"]
        found.target_low[row] = head["destination_low"]
        found.ttl[row] = head["hops"]
        at = rows.at + h.IPV6_HEADER.itemsize
        # Zero: a jumbogram, or one that the card was to cut up.
        carried_end = np.where(length > 0, np.minimum(at + length, rows.wire_end), rows.wire_end)
        above = _Rows(row, at, np.minimum(rows.end, carried_end), carried_end)
        following, offset = self._extensions(above, head["next"].astype(np.int64))
        found.protocol[row] = following
        self.transport(above, following, offset, tunnel)

    def _extensions(self, rows: _Rows, following: Ints) -> tuple[Ints, Ints]:
        """Step over extension headers: what follows the last, and each one's fragment offset."""
        offset = np.zeros(len(following), np.int64)
        for _ in range(_EXTENSIONS_DEEP):
            more = np.isin(following, _EXTENSIONS) & rows.room(8) & (offset == 0)
            if not more.any():
                break
            at, kind = rows.at[more], following[more]
            head = gather(self.data, at, h.IPV6_EXTENSION)
            size = (head["length"].astype(np.int64) + 1) * 8
            size[kind == h.AUTHENTICATION] = (
                head["length"][kind == h.AUTHENTICATION].astype(np.int64) + 2
            ) * 4
            pieces = kind == h.FRAGMENT
            size[pieces] = 8
            if pieces.any():
                piece = gather(self.data, at[pieces], h.IPV6_FRAGMENT)
                rows_of = np.flatnonzero(more)[pieces]
                offset[rows_of] = piece["fragment"] >> 3
                apart = (piece["fragment"] >> 3 > 0) | (piece["fragment"] & 1 > 0)
                place = np.where(piece["fragment"] >> 3, LATER, np.where(apart, FIRST, 0))
                self.found.fragment[rows.row[rows_of]] = place
                self.found.ip_id[rows.row[rows_of]] = piece["id"]
            rows.at[more] = at + size
            following[more] = head["next"]
        return following, offset

    def _arp(self, rows: _Rows, _: int) -> None:
        rows = self._whole(rows, h.ARP_HEADER.itemsize)
        head, row, found = gather(self.data, rows.at, h.ARP_HEADER), rows.row, self.found
        found.protocol[row] = ETHERTYPE + h.ARP
        known = head["type"] == h.IPV4
        found.source_low[row] = np.where(known, head["sender"].astype(np.uint64) | _MAPPED, 0)
        found.target_low[row] = np.where(known, head["target"].astype(np.uint64) | _MAPPED, 0)
        found.ip_id[row] = head["operation"]

    # Transport layer

    def transport(self, rows: _Rows, protocol: Ints, offset: Ints, tunnel: int) -> None:
        """Read what has ports; later fragments have none, and are told apart by their offset."""
        found = self.found
        found.payload[rows.row] = np.maximum(rows.wire_end - rows.at, 0)
        later = offset > 0
        if later.any():
            found.seq[rows.row[later]] = offset[later]
        tcp, udp = (protocol == h.TCP) & ~later, (protocol == h.UDP) & ~later
        if tcp.all():
            self._tcp(rows)
        else:
            if tcp.any():
                self._tcp(rows.take(tcp))
            if udp.any():
                self._udp(rows.take(udp), tunnel)
            rest = ~(tcp | udp | later)
            if rest.any():  # ICMP's type, identifier and number, or whatever else begins there
                left = rows.take(rest)
                left = left.take(left.room(8))
                found.seq[left.row] = gather(self.data, left.at, h.WORD)["value"] >> 16
                found.ack[left.row] = gather(self.data, left.at + 4, h.WORD)["value"]

    def _tcp(self, rows: _Rows) -> None:
        rows = self._ports(rows, h.TCP_HEADER.itemsize)
        head, row, found = gather(self.data, rows.at, h.TCP_HEADER), rows.row, self.found
        size = (head["offset"] >> 4).astype(np.int64) * 4
        good = size >= h.TCP_HEADER.itemsize
        found.source_port[row], found.target_port[row] = head["source"], head["destination"]
        found.seq[row], found.ack[row] = head["seq"], head["ack"]
        found.flags[row], found.window[row] = head["flags"], head["window"]
        payload_at = rows.at + np.where(good, size, h.TCP_HEADER.itemsize)
        payload = np.maximum(rows.wire_end - payload_at, 0)
        found.payload[row] = payload
        some = payload > 0
        if some.any():
            found.message[row[some]] = self.messages.begin(
                self.data, payload_at[some], rows.end[some], payload[some]
            )

    def _udp(self, rows: _Rows, tunnel: int) -> None:
        rows = self._ports(rows, h.UDP_HEADER.itemsize)
        head, row, found = gather(self.data, rows.at, h.UDP_HEADER), rows.row, self.found
        found.source_port[row], found.target_port[row] = head["source"], head["destination"]
        payload_at = rows.at + h.UDP_HEADER.itemsize
        found.payload[row] = np.maximum(rows.wire_end - payload_at, 0)
        for column, shift in ((found.seq, 0), (found.ack, 4)):  # tells datagrams apart
            some = payload_at + shift + 4 <= rows.end
            column[row[some]] = gather(self.data, payload_at[some] + shift, h.WORD)["value"]
        if tunnel < _TUNNELS_DEEP:
            carrying = np.isin(head["destination"], h.VXLAN_PORTS) & (payload_at + 8 <= rows.end)
            if carrying.any():
                inner = rows.take(carrying)
                inner.at = payload_at[carrying]
                self._vxlan(inner, tunnel + 1)

    def _vxlan(self, rows: _Rows, tunnel: int) -> None:
        """Count the carrier apart; from here on the packet is what it carries."""
        head = gather(self.data, rows.at, h.VXLAN_HEADER)
        good = (head["flags"] & h.VXLAN_HAS_VNI != 0) & (rows.at + 8 + 14 <= rows.end)
        rows, head = rows.take(good), head[good]
        if not len(rows.row):
            return
        self.tunnels.add(self.found.take(rows.row), (head["vni_spare"] >> 8).astype(np.int64))
        blank = Packets.blank(1)
        for name in (
            "version",
            "protocol",
            "source_high",
            "source_low",
            "target_high",
            "target_low",
            "source_port",
            "target_port",
            "ttl",
            "ip_id",
            "fragment",
            "seq",
            "ack",
            "payload",
        ):
            getattr(self.found, name)[rows.row] = getattr(blank, name)[0]
        rows.at = rows.at + 8
        self.found.length[rows.row] = rows.wire_end - rows.at
        self.frames(rows, h.ETHERNET_BYTES, h.ETHERNET_BYTES - 2, tunnel)

    # What all use

    def remember_whole(self, rows: _Rows) -> None:
        """Write down of each packet what stays the same wherever it is seen.

        That is all but addresses, ports, TTL and checksums: NAT and routers change those. A frame
        that is no IP is known by its first bytes.
        """
        found = self.found
        seen = (
            found.version,
            found.protocol,
            found.ip_id,
            found.payload,
            found.fragment,
            found.seq,
            found.ack,
            found.flags,
            found.window,
        )
        found.same = hash_rows(*seen)
        plain = found.version == 0
        if plain.any():
            part = rows.take(plain)
            words = []
            for shift in (0, 8, 16, 24):
                at = np.minimum(part.at + shift, len(self.data) - 8)
                word = gather(self.data, at, h.LONG)["value"]
                words.append(np.where(part.at + shift + 8 <= part.end, word, 0))
            found.same[plain] = hash_rows(found.same[plain], found.length[plain], *words)

    def _short(self, at: Ints) -> Ints:
        return gather(self.data, at, h.SHORT)["value"].astype(np.int64)

    def _whole(self, rows: _Rows, size: int) -> _Rows:
        """Keep the rows that have so many bytes left; the others are bad."""
        room = rows.room(size)
        if room.all():
            return rows
        self._bad(rows.row[~room])
        self.found.cut[rows.row[~room]] = True
        return rows.take(room)

    def _ports(self, rows: _Rows, size: int) -> _Rows:
        """Keep the rows that have a whole transport header; of the others read the ports if any."""
        room = rows.room(size)
        if room.all():
            return rows
        short = rows.take(~room)
        self.found.cut[short.row] = True
        short = short.take(short.room(h.PORTS.itemsize))
        ports = gather(self.data, short.at, h.PORTS)
        self.found.source_port[short.row] = ports["source"]
        self.found.target_port[short.row] = ports["destination"]
        return rows.take(room)

    def _bad(self, row: Ints) -> None:
        self.found.protocol[row] = BAD

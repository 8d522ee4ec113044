"""Read the headers of a whole batch at once: from captured frames to `Packets`.

Each method takes the rows that it decodes and where each one's header begins, fills their columns,
and passes them to the next layer. `protocols` has the layouts and their sources.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from socket import IPPROTO_AH, IPPROTO_FRAGMENT, IPPROTO_TCP, IPPROTO_UDP
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinstack.observe.traffic import protocols as p
from twinstack.observe.traffic.columns import Bytes, Flags, Ints, gather, hash_rows
from twinstack.observe.traffic.http import HttpMessages
from twinstack.observe.traffic.packets import MAPPED, Packets
from twinstack.observe.traffic.pcap import CaptureInterface, RecordBatch

AnyRows = NDArray[Any]
#: Gets the carriers of encapsulated packets, and their VNI.
AddCarriers = Callable[[Packets, Ints], None]

_MAX_VLAN_TAGS = 8
_MAX_EXTENSIONS = 12
_MAX_TUNNELS = 2
_MAPPED = np.uint64(MAPPED)
#: Columns that an encapsulated packet shares with its carrier.
_OF_FRAME = {"time_ns", "place", "length", "cooked", "cut"}
_TCP_FIELDS = ("seq", "ack", "flags", "window")
#: Columns that neither routers nor NAT change.
_UNCHANGED = ("version", "protocol", "ip_id", "payload", "fragment", *_TCP_FIELDS)


def decode(
    batch: RecordBatch,
    interfaces: Sequence[CaptureInterface],
    places: Sequence[int],
    messages: HttpMessages,
    add_carriers: AddCarriers,
) -> Packets:
    """Decode a batch. `places` numbers each of its file's interfaces among all."""
    count = len(batch)
    packets = Packets.blank(count)
    packets.time_ns = batch.time_ns
    packets.length = batch.length.copy()
    packets.place = np.asarray(places, np.int64)[batch.interface]
    decoding = _Decoding(batch.data, packets, messages, add_carriers)
    end = batch.start + batch.captured
    wire_end = np.maximum(batch.start + batch.length, end)
    rows = _Rows(np.arange(count, dtype=np.int64), batch.start, end, wire_end)
    link_types = np.asarray([interface.link_type for interface in interfaces], np.int64)
    link_type = link_types[batch.interface]
    kinds = np.unique(link_type)
    for kind in kinds.tolist():
        decoding.link(kind, replace(rows) if len(kinds) == 1 else rows.take(link_type == kind))
    decoding.hash_unchanged(rows)
    return packets


@dataclass(slots=True)
class _Rows:
    """Some packets, and where each one's next header is in the batch's data."""

    row: Ints  # the packet's row in `Packets`
    at: Ints
    end: Ints  # of what was captured
    wire_end: Ints  # of the packet on the wire

    def take(self, which: Flags) -> _Rows:
        return _Rows(self.row[which], self.at[which], self.end[which], self.wire_end[which])

    def room(self, size: int) -> Flags:
        return self.at + size <= self.end


@dataclass(frozen=True, slots=True)
class _Decoding:
    """One batch being decoded: its bytes, and the columns to fill."""

    data: Bytes
    packets: Packets
    messages: HttpMessages
    add_carriers: AddCarriers

    # Link layer

    def link(self, link_type: int, rows: _Rows) -> None:
        """Decode the frames of one type of interface."""
        if link_type == p.LINKTYPE_ETHERNET:
            self._frames(rows, p.ETHERNET_BYTES)
        elif link_type == p.LINKTYPE_LINUX_SLL:
            self.packets.cooked[rows.row] = True
            self._frames(rows, p.SLL_BYTES)
        elif link_type == p.LINKTYPE_LINUX_SLL2:
            rows = self._whole(rows, p.SLL2_BYTES)
            # It names the interface: each is its own place, above our own number.
            self.packets.place[rows.row] += self._u32(rows.at + 4) << 20
            self._frames(rows, p.SLL2_BYTES, ethertype_at=0)
        elif link_type in (p.LINKTYPE_NULL, p.LINKTYPE_LOOP):
            self._loopback(rows)
        elif link_type in p.LINKTYPES_IP:
            rows = self._whole(rows, 1)
            version = self.data[rows.at] >> 4
            rows, version = self._valid(rows, version, (version == 4) | (version == 6))
            self._network(rows, np.where(version == 4, p.ETH_P_IP, p.ETH_P_IPV6))
        else:
            self.packets.protocol[rows.row] = p.UNKNOWN_LINK

    def _frames(
        self, rows: _Rows, size: int, tunnels: int = 0, *, ethertype_at: int | None = None
    ) -> None:
        """Read link headers, which end in an ethertype unless it is elsewhere, and VLAN tags."""
        rows = self._whole(rows, size)
        ethertype = self._u16(rows.at + (size - 2 if ethertype_at is None else ethertype_at))
        rows.at = rows.at + size
        for _ in range(_MAX_VLAN_TAGS):
            tagged = np.isin(ethertype, p.VLAN_TAGS) & rows.room(4)
            if not tagged.any():
                break
            ethertype[tagged] = self._u16(rows.at[tagged] + 2)
            rows.at[tagged] += 4
        self._network(rows, ethertype, tunnels)

    def _loopback(self, rows: _Rows) -> None:
        rows = self._whole(rows, p.FAMILY_BYTES)
        family = self._u32(rows.at)
        swapped = family > 0xFFFF  # in the byte order of the machine that captured
        family[swapped] = family[swapped].astype(np.uint32).byteswap().astype(np.int64)
        ethertype = np.zeros(len(family), np.int64)
        for number, known in p.ADDRESS_FAMILIES.items():
            ethertype[family == number] = known
        rows.at = rows.at + p.FAMILY_BYTES
        self._network(rows, ethertype)

    # Network layer

    def _network(self, rows: _Rows, ethertype: Ints, tunnels: int = 0) -> None:
        ipv4, ipv6 = ethertype == p.ETH_P_IP, ethertype == p.ETH_P_IPV6
        if ipv4.all():
            self._ipv4(rows, tunnels)
            return
        arp = ethertype == p.ETH_P_ARP
        if ipv4.any():
            self._ipv4(rows.take(ipv4), tunnels)
        if ipv6.any():
            self._ipv6(rows.take(ipv6), tunnels)
        if arp.any():
            self._arp(rows.take(arp))
        other = ~(ipv4 | ipv6 | arp)
        protocol = np.where(ethertype < p.ETH_P_802_3_MIN, p.LLC, p.ETHERTYPE + ethertype)
        self.packets.protocol[rows.row[other]] = protocol[other]

    def _ipv4(self, rows: _Rows, tunnels: int) -> None:
        rows = self._whole(rows, p.IPV4_HEADER.itemsize)
        head = gather(self.data, rows.at, p.IPV4_HEADER)
        size = (head["version_ihl"] & 15).astype(np.int64) * 4
        good = (head["version_ihl"] >> 4 == 4) & (size >= p.IPV4_HEADER.itemsize)
        rows, head, size = *self._valid(rows, head, good), size[good]
        packets, row = self.packets, rows.row
        total = head["length"].astype(np.int64)
        # Zero: segmentation is left to the card (a segment larger than the field can say).
        end = np.where(total >= size, np.minimum(rows.at + total, rows.wire_end), rows.wire_end)
        fragment = head["fragment"].astype(np.int64)
        offset, more = fragment & 0x1FFF, fragment & 0x2000
        packets.version[row] = 4
        packets.source_low[row] = head["source"].astype(np.uint64) | _MAPPED
        packets.target_low[row] = head["destination"].astype(np.uint64) | _MAPPED
        packets.ttl[row] = head["ttl"]
        packets.ip_id[row] = head["id"]
        packets.protocol[row] = head["protocol"]
        packets.fragment[row] = np.where(offset, p.LATER, np.where(more, p.FIRST, 0))
        above = _Rows(row, rows.at + size, np.minimum(rows.end, end), end)
        self._transport(above, head["protocol"].astype(np.int64), offset, tunnels)

    def _ipv6(self, rows: _Rows, tunnels: int) -> None:
        rows = self._whole(rows, p.IPV6_HEADER.itemsize)
        head = gather(self.data, rows.at, p.IPV6_HEADER)
        rows, head = self._valid(rows, head, head["version"] >> 4 == 6)
        packets, row = self.packets, rows.row
        packets.version[row] = 6
        packets.source_high[row], packets.source_low[row] = head["source_high"], head["source_low"]
        packets.target_high[row], packets.target_low[row] = head["target_high"], head["target_low"]
        packets.ttl[row] = head["hops"]
        at = rows.at + p.IPV6_HEADER.itemsize
        length = head["length"].astype(np.int64)
        # Zero: a jumbogram, or segmentation is left to the card.
        end = np.where(length > 0, np.minimum(at + length, rows.wire_end), rows.wire_end)
        above = _Rows(row, at, np.minimum(rows.end, end), end)
        protocol, offset = self._extensions(above, head["next"].astype(np.int64))
        packets.protocol[row] = protocol
        self._transport(above, protocol, offset, tunnels)

    def _extensions(self, rows: _Rows, protocol: Ints) -> tuple[Ints, Ints]:
        """Skip extension headers; gives the protocol after the last, and the fragment offset."""
        offset = np.zeros(len(protocol), np.int64)
        for _ in range(_MAX_EXTENSIONS):
            more = np.isin(protocol, p.IPV6_EXTENSION_HEADERS) & rows.room(8) & (offset == 0)
            if not more.any():
                break
            at, kind = rows.at[more], protocol[more]
            head = gather(self.data, at, p.IPV6_EXTENSION)
            length = head["length"].astype(np.int64)
            size = np.where(kind == IPPROTO_AH, (length + 2) * 4, (length + 1) * 8)
            fragments = kind == IPPROTO_FRAGMENT
            size[fragments] = 8
            if fragments.any():
                fragment = gather(self.data, at[fragments], p.IPV6_FRAGMENT)
                which = np.flatnonzero(more)[fragments]
                offset[which] = fragment["fragment"] >> 3
                first = np.where(fragment["fragment"] & 1, p.FIRST, 0)
                self.packets.fragment[rows.row[which]] = np.where(offset[which], p.LATER, first)
                self.packets.ip_id[rows.row[which]] = fragment["id"]
            rows.at[more] = at + size
            protocol[more] = head["next"]
        return protocol, offset

    def _arp(self, rows: _Rows) -> None:
        rows = self._whole(rows, p.ARP_HEADER.itemsize)
        head = gather(self.data, rows.at, p.ARP_HEADER)
        packets, row = self.packets, rows.row
        ipv4 = head["type"] == p.ETH_P_IP
        packets.protocol[row] = p.ETHERTYPE + p.ETH_P_ARP
        packets.source_low[row] = np.where(ipv4, head["sender"].astype(np.uint64) | _MAPPED, 0)
        packets.target_low[row] = np.where(ipv4, head["target"].astype(np.uint64) | _MAPPED, 0)
        packets.ip_id[row] = head["operation"]

    # Transport layer

    def _transport(self, rows: _Rows, protocol: Ints, offset: Ints, tunnels: int) -> None:
        """Read ports; later fragments have none, and differ by their offset."""
        packets = self.packets
        packets.payload[rows.row] = np.maximum(rows.wire_end - rows.at, 0)
        later = offset > 0
        packets.seq[rows.row[later]] = offset[later]
        tcp, udp = (protocol == IPPROTO_TCP) & ~later, (protocol == IPPROTO_UDP) & ~later
        if tcp.all():
            self._tcp(rows)
            return
        if tcp.any():
            self._tcp(rows.take(tcp))
        if udp.any():
            self._udp(rows.take(udp), tunnels)
        # ICMP's type, identifier and sequence number, or what else begins there.
        other = rows.take(~(tcp | udp | later))
        other = other.take(other.room(8))
        packets.seq[other.row] = self._u32(other.at) >> 16
        packets.ack[other.row] = self._u32(other.at + 4)

    def _tcp(self, rows: _Rows) -> None:
        rows = self._ports(rows, p.TCP_HEADER.itemsize)
        head = gather(self.data, rows.at, p.TCP_HEADER)
        packets, row = self.packets, rows.row
        packets.seq[row], packets.ack[row] = head["seq"], head["ack"]
        packets.flags[row], packets.window[row] = head["flags"], head["window"]
        size = (head["offset"] >> 4).astype(np.int64) * 4
        payload_at = rows.at + np.maximum(size, p.TCP_HEADER.itemsize)
        payload = np.maximum(rows.wire_end - payload_at, 0)
        packets.payload[row] = payload
        some = payload > 0
        packets.message[row[some]] = self.messages.begin(
            self.data, payload_at[some], rows.end[some], payload[some]
        )

    def _udp(self, rows: _Rows, tunnels: int) -> None:
        rows = self._ports(rows, p.UDP_HEADER_BYTES)
        packets, row = self.packets, rows.row
        payload_at = rows.at + p.UDP_HEADER_BYTES
        packets.payload[row] = np.maximum(rows.wire_end - payload_at, 0)
        for column, shift in ((packets.seq, 0), (packets.ack, 4)):  # tells datagrams apart
            some = payload_at + shift + 4 <= rows.end
            column[row[some]] = self._u32(payload_at[some] + shift)
        if tunnels < _MAX_TUNNELS:
            vxlan = np.isin(packets.target_port[row], p.VXLAN_PORTS)
            vxlan &= payload_at + p.VXLAN_HEADER.itemsize + p.ETHERNET_BYTES <= rows.end
            if vxlan.any():
                rows.at = payload_at
                self._vxlan(rows.take(vxlan), tunnels + 1)

    def _vxlan(self, rows: _Rows, tunnels: int) -> None:
        """Count the carrier apart; from here on the row is the packet that it carries."""
        head = gather(self.data, rows.at, p.VXLAN_HEADER)
        good = head["flags"] & p.VXLAN_HAS_VNI != 0
        rows, head = rows.take(good), head[good]
        if not len(rows.row):
            return
        self.add_carriers(self.packets.take(rows.row), (head["vni"] >> 8).astype(np.int64))
        for column in fields(Packets):
            if column.name not in _OF_FRAME:
                getattr(self.packets, column.name)[rows.row] = 0
        rows.at = rows.at + p.VXLAN_HEADER.itemsize
        self.packets.length[rows.row] = rows.wire_end - rows.at
        self._frames(rows, p.ETHERNET_BYTES, tunnels)

    # Of all layers

    def hash_unchanged(self, rows: _Rows) -> None:
        """Hash what stays the same of a packet wherever it is seen.

        That is everything but addresses, ports, TTL and checksums, which NAT and routers change.
        Frames that are not IP are identified by their length and first bytes.
        """
        packets = self.packets
        packets.same = hash_rows(*(getattr(packets, name) for name in _UNCHANGED))
        not_ip = packets.version == 0
        if not_ip.any():
            frames = rows.take(not_ip)
            words = []
            for shift in (0, 8, 16, 24):
                at = np.minimum(frames.at + shift, len(self.data) - 8)
                word = gather(self.data, at, p.U64)["value"]
                words.append(np.where(frames.at + shift + 8 <= frames.end, word, 0))
            packets.same[not_ip] = hash_rows(packets.same[not_ip], packets.length[not_ip], *words)

    def _u16(self, at: Ints) -> Ints:
        return gather(self.data, at, p.U16)["value"].astype(np.int64)

    def _u32(self, at: Ints) -> Ints:
        return gather(self.data, at, p.U32)["value"].astype(np.int64)

    def _whole(self, rows: _Rows, size: int) -> _Rows:
        """Keep the rows that have so many bytes left; the others are malformed."""
        room = rows.room(size)
        if room.all():
            return rows
        self.packets.protocol[rows.row[~room]] = p.MALFORMED
        self.packets.cut[rows.row[~room]] = True
        return rows.take(room)

    def _valid(self, rows: _Rows, head: AnyRows, good: Flags) -> tuple[_Rows, AnyRows]:
        """Keep the rows with a valid header; the others are malformed."""
        if good.all():
            return rows, head
        self.packets.protocol[rows.row[~good]] = p.MALFORMED
        return rows.take(good), head[good]

    def _ports(self, rows: _Rows, size: int) -> _Rows:
        """Read ports; keep the rows that have a whole transport header."""
        with_ports = rows.take(rows.room(p.PORTS.itemsize))
        ports = gather(self.data, with_ports.at, p.PORTS)
        self.packets.source_port[with_ports.row] = ports["source"]
        self.packets.target_port[with_ports.row] = ports["destination"]
        room = rows.room(size)
        self.packets.cut[rows.row[~room]] = True
        return rows.take(room)

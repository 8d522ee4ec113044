"""Every kind of frame is decoded and counted as tshark counts it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.support import craft
from tests.support.craft import ACK, Frame, Interface, ethernet, ipv4, ipv6, tcp, udp
from tests.support.traffic_cases import CARRIED, PACKET

SIX, SIX_TOO = "2001:db8::1", "2001:db8::2"
PAIR = ("nginx-lb", "api-gateway", "TCP", 3000)


def short(value: object) -> str | None:
    """Name a case: long bytes are no names."""
    return f"{len(value)}B" if isinstance(value, bytes) else None


def one_packet(
    tmp_path: Path, data: bytes, link: int = 1
) -> dict[tuple[str, str, str, int | None], int]:
    file = craft.pcap(tmp_path / "a.pcap", [Frame(data)], link=link)
    report = craft.report(file)
    assert (report.places[0].packets, report.places[0].bytes) == (1, len(data))
    return craft.packets_by_pair(report)


@pytest.mark.parametrize(("link", "data"), CARRIED, ids=short)
def test_a_request_is_found_in_whatever_carries_it(link: int, data: bytes, tmp_path: Path):
    assert one_packet(tmp_path, data, link) == {PAIR: 1}


def test_every_interface_counts_as_tshark_does(tmp_path: Path):
    ports = [Interface(str(number), link=link) for number, (link, _) in enumerate(CARRIED)]
    frames = [
        Frame(data, craft.START_NS + number * 1_000_000, number, len(data) + number)
        for number, (_, data) in enumerate(CARRIED)
    ]
    file = craft.pcapng(tmp_path / "a.pcapng", frames, ports)
    report = craft.report(file)
    assert craft.tshark_counts(file) == (
        sum(interface.packets for interface in report.places),
        sum(interface.bytes for interface in report.places),
    )
    for number, place in enumerate(report.places):
        expected = craft.tshark_matching(file, f"frame.interface_id == {number}")
        assert (place.name, place.packets) == (str(number), expected)


@pytest.mark.parametrize(
    ("link", "data"),
    [
        (1, ethernet(ipv6(SIX, SIX_TOO, 6, tcp(40000, 443, ACK, seq=1)))),
        (1, ethernet(ipv6(SIX, SIX_TOO, 0, struct.pack(">BB6x", 6, 0) + tcp(40000, 443, ACK)))),
        (
            1,
            ethernet(
                ipv6(
                    SIX,
                    SIX_TOO,
                    0,
                    struct.pack(">BB6x", 60, 0)
                    + struct.pack(">BB14x", 6, 1)
                    + tcp(40000, 443, ACK),
                )
            ),
        ),
        (1, ethernet(ipv6(SIX, SIX_TOO, 51, struct.pack(">BB10x", 6, 1) + tcp(40000, 443, ACK)))),
        (101, ipv6(SIX, SIX_TOO, 6, tcp(40000, 443, ACK))),
        (229, ipv6(SIX, SIX_TOO, 6, tcp(40000, 443, ACK))),
        (0, struct.pack("<I", 30) + ipv6(SIX, SIX_TOO, 6, tcp(40000, 443, ACK))),
    ],
    ids=short,
)
def test_ipv6_is_read_past_its_extension_headers(link: int, data: bytes, tmp_path: Path):
    assert one_packet(tmp_path, data, link) == {("outside", "outside", "TCP", 443): 1}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            ethernet(ipv4(craft.GATEWAY, craft.ORDER, 1, craft.icmp())),
            ("api-gateway", "order-service", "ICMP", None),
        ),
        (
            ethernet(ipv6(SIX, "ff02::1", 58, craft.icmp(135))),
            ("outside", "multicast", "ICMPv6", None),
        ),
        (
            ethernet(craft.arp(craft.GATEWAY, craft.ORDER), 0x0806),
            ("api-gateway", "order-service", "ARP", None),
        ),
        (
            ethernet(ipv4(craft.ORDER, "203.0.113.53", 17, udp(40000, 53, b"12345678"))),
            ("order-service", "outside", "UDP", 53),
        ),
        (
            ethernet(ipv4(craft.ORDER, craft.REDIS, 47, b"\0" * 30)),
            ("order-service", "redis-cache", "GRE", None),
        ),
        (bytes(12) + b"\x00\x26\x42\x42\x03" + bytes(35), ("–", "–", "802.3", None)),
        (ethernet(bytes(46), 0x88CC), ("–", "–", "LLDP", None)),
        (ethernet(bytes(46), 0x1234), ("–", "–", "type 0x1234", None)),
    ],
    ids=short,
)
def test_other_protocols_are_named_too(
    data: bytes, expected: tuple[str, str, str, int | None], tmp_path: Path
):
    assert one_packet(tmp_path, data) == {expected: 1}


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (b"\x01\x02\x03", "shorter than the headers in it"),
        (ethernet(PACKET[:15]), "shorter than the headers in it"),
        (ethernet(PACKET[:30]), "shorter than the headers in it"),
        (ethernet(b"\x15" + PACKET[1:], 0x0800), "malformed"),
        (ethernet(b"\x43" + PACKET[1:], 0x0800), "malformed"),
        (ethernet(PACKET, 0x86DD), "malformed"),
    ],
    ids=short,
)
def test_cut_and_malformed_packets_are_counted_and_noted(data: bytes, note: str, tmp_path: Path):
    report = craft.report(craft.pcap(tmp_path / "a.pcap", [Frame(data, length=500)]))
    assert (report.packets, report.places[0].bytes, report.places[0].cut) == (1, 500, 1)
    assert any(note in line for line in report.notes)


def test_notes_count_a_packet_once_and_by_one_kind(tmp_path: Path):
    """A TCP header that is cut off leaves a packet whose headers do not contradict themselves."""
    short, wrong = ethernet(PACKET[:30]), ethernet(b"\x15" + PACKET[1:], 0x0800)
    frames = [
        Frame(data, craft.START_NS + number * 1000, number % 3, 500)
        for number, data in enumerate([short] * 3 + [wrong] * 3)
    ]
    ports = [Interface("a"), Interface("b"), Interface("c")]
    report = craft.report(craft.pcapng(tmp_path / "a.pcapng", frames, ports))
    assert (report.sights, report.packets) == (6, 2)
    assert report.notes == ("1 packet is shorter than the headers in it", "1 packet is malformed")


def test_an_unknown_link_type_is_counted_and_noted(tmp_path: Path):
    file = craft.pcap(tmp_path / "a.pcap", [Frame(bytes(80))], link=147)
    report = craft.report(file)
    assert report.places[0].packets == 1
    assert "1 packet is of a link type that is not decoded" in report.notes


def test_fragments_belong_to_the_pair_of_their_first(tmp_path: Path):
    whole = udp(40000, 5000, bytes(3000))
    pieces = [
        ipv4(craft.GATEWAY, craft.PRODUCT, 17, whole[:1480], ident=9, fragment=0x2000),
        ipv4(craft.GATEWAY, craft.PRODUCT, 17, whole[1480:2960], ident=9, fragment=0x2000 | 185),
        ipv4(craft.GATEWAY, craft.PRODUCT, 17, whole[2960:], ident=9, fragment=370),
    ]
    report = craft.report(craft.pcap(tmp_path / "a.pcap", craft.spaced(map(ethernet, pieces))))
    assert craft.packets_by_pair(report) == {("api-gateway", "product-service", "UDP", 5000): 3}
    # The last alone: to the right pair, without a port.
    report = craft.report(craft.pcap(tmp_path / "b.pcap", [Frame(ethernet(pieces[2]))]))
    assert craft.packets_by_pair(report) == {("api-gateway", "product-service", "UDP", None): 1}


def test_fragments_of_ipv6_too(tmp_path: Path):
    def piece(offset: int, more: int, part: bytes) -> bytes:
        head = struct.pack(">BBHI", 17, 0, offset | more, 77)
        return ethernet(ipv6(SIX, SIX_TOO, 44, head + part))

    whole = udp(40000, 53, bytes(1500))
    frames = craft.spaced([piece(0, 1, whole[:800]), piece(800, 0, whole[800:])])
    report = craft.report(craft.pcap(tmp_path / "a.pcap", frames))
    assert craft.packets_by_pair(report) == {("outside", "outside", "UDP", 53): 2}


def test_a_jumbo_frame_is_counted_whole(tmp_path: Path):
    data = ethernet(
        ipv4(craft.NGINX, craft.GATEWAY, 6, tcp(40000, 3000, ACK, seq=1, payload=bytes(8900)))
    )
    file = craft.pcap(tmp_path / "a.pcap", craft.cut([Frame(data)], 128))
    report = craft.report(file)
    assert craft.tshark_counts(file) == (1, len(data))
    assert (report.bytes, report.places[0].cut) == (len(data), 1)
    assert craft.packets_by_pair(report) == {PAIR: 1}


def test_interfaces_of_different_types_share_a_file(tmp_path: Path):
    frames = [
        Frame(ethernet(PACKET)),
        Frame(PACKET, craft.START_NS + 10**9 * 5, 1),
        Frame(struct.pack("<I", 2) + PACKET, craft.START_NS + 10**9 * 10, 2),
    ]
    ports = [Interface("a"), Interface("b", link=101), Interface("c", link=0)]
    report = craft.report(craft.pcapng(tmp_path / "a.pcapng", frames, ports))
    assert craft.packets_by_pair(report) == {PAIR: 3}
    assert [interface.name for interface in report.places] == ["a", "b", "c"]

"""A packet counts once, however many interfaces saw it, whatever NAT made of it on its way."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest

from tests.support import craft
from tests.support.craft import ACK, START_NS, SYN, Connection, Frame, Interface, ethernet, sighted
from twinstack.observe.traffic import deduplicator, pcapng
from twinstack.observe.traffic.packets import Packets

VETHS = [Interface("ve-a"), Interface("br-app"), Interface("ve-b")]


def translated(packet: bytes, *, source: str = "", target: str = "", ports: str = "") -> bytes:
    """Rewrite addresses and ports ("40000>80") as NAT does, and pass a router."""
    data = bytearray(packet)
    data[8] -= 1
    if source:
        data[12:16] = ip_address(source).packed
    if target:
        data[16:20] = ip_address(target).packed
    if ports:
        source_port, target_port = ports.split(">")
        data[20:24] = int(source_port).to_bytes(2) + int(target_port).to_bytes(2)
    return bytes(data)


def test_three_interfaces_count_a_packet_once(tmp_path: Path):
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open().ask().close()
    report = craft.report(craft.pcapng(tmp_path / "a", sighted(connection.sent, 3), VETHS))
    count = len(connection.sent)
    assert (report.sights, report.packets) == (3 * count, count)
    assert [place.packets for place in report.places] == [count] * 3
    pair = craft.pair(report, "nginx-lb", "api-gateway")
    assert (pair.packets, pair.connections, pair.resent) == (count, 1, 0)
    assert [(http.request, http.status, http.count) for http in report.http] == [
        ("GET /api/products", 200, 1)
    ]


def test_files_of_one_capture_each_are_joined_in_time(tmp_path: Path):
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open().ask().close()
    frames = sighted(connection.sent, 3)
    files = [
        craft.pcap(
            tmp_path / f"{VETHS[place].name}.pcap",
            [replace(frame, interface=0) for frame in frames if frame.interface == place],
        )
        for place in (2, 0, 1)
    ]
    report = craft.report(*files)
    assert report.packets == len(connection.sent)
    assert {place.name for place in report.places} == {"ve-a", "br-app", "ve-b"}
    assert craft.pair(report, "nginx-lb", "api-gateway").resent == 0


def test_a_retransmission_is_another_packet_with_or_without_an_identification(tmp_path: Path):
    for ident in (None, 0):
        connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open()
        connection.send(0, ACK, b"x" * 100)
        connection.send(0, ACK, b"x" * 100, again=100)
        packets = connection.sent
        if ident is not None:
            packets = [packet[:4] + b"\0\0" + packet[6:] for packet in packets]
        report = craft.report(craft.pcapng(tmp_path / "a", sighted(packets, 3), VETHS))
        assert report.packets == 5
        assert craft.pair(report, "nginx-lb", "api-gateway").resent == 1


def test_a_packet_that_one_interface_missed_counts_by_another(tmp_path: Path):
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open()
    frames = sighted(connection.sent, 3)
    report = craft.report(craft.pcapng(tmp_path / "a", [frames[0], frames[4], frames[8]], VETHS))
    assert report.packets == 3


def test_equal_packets_a_second_apart_are_two(tmp_path: Path):
    packet = Connection(craft.NGINX, craft.GATEWAY, 3000).send(0, SYN)
    frames = [
        Frame(ethernet(packet), START_NS + time, place)
        for place, time in enumerate((0, 1_000_000_000, 2_000_001_000))
    ]
    report = craft.report(craft.pcapng(tmp_path / "a", frames, VETHS))
    assert report.packets == 2


def test_traffic_to_a_published_port_goes_to_the_service_behind_it(tmp_path: Path):
    """Another machine asks host:8080: DNAT makes it nginx-lb:80, and takes the answers back."""
    connection = Connection(craft.CLIENT, "198.51.100.1", 8080).open().ask("/", 502).close()
    sights = []
    for number, packet in enumerate(connection.sent):
        request = packet[12:16] == connection.sent[0][12:16]
        inside = (
            translated(packet, target=craft.NGINX, ports="40000>80")
            if request
            else translated(packet, source=craft.NGINX, ports="80>40000")
        )
        views = (
            [(0, packet), (1, inside), (2, inside)]
            if request
            else [(2, inside), (1, inside), (0, packet)]
        )
        sights += [
            Frame(ethernet(pair), START_NS + number * 100_000 + at * 1000, place)
            for at, (place, pair) in enumerate(views)
        ]
    ports = [Interface("eth0"), Interface("br-app"), Interface("ve-nginx")]
    report = craft.report(craft.pcapng(tmp_path / "a", sights, ports))
    assert craft.packets_by_pair(report) == {
        ("outside", "nginx-lb", "TCP", 80): len(connection.sent)
    }
    (pair,) = report.pairs
    assert (pair.connections, pair.verdict, pair.resent) == (1, "declared", 0)
    assert pair.packets_there == len(
        [p for p in connection.sent if p[12:16] == b"\xcb\x00\x71\x0a"]
    )
    assert [(http.client, http.server, http.status, http.count) for http in report.http] == [
        ("outside", "nginx-lb", 502, 1)
    ]


def test_hairpin_names_the_first_source_and_the_last_destination(tmp_path: Path):
    """A service asks host:8080: both ends are rewritten, and one bridge sees both forms."""
    connection = Connection(craft.PRODUCT, craft.HOST, 8080).open().ask().close()
    sights = []
    for number, packet in enumerate(connection.sent):
        request = packet[12:16] == connection.sent[0][12:16]
        inside = translated(packet, source=craft.NGINX, target=craft.HOST, ports="80>1024")
        if request:
            inside = translated(packet, source=craft.HOST, target=craft.NGINX, ports="1024>80")
        views = [packet, inside] if request else [inside, packet]
        sights += [
            Frame(ethernet(view), START_NS + number * 100_000 + at * 1000)
            for at, view in enumerate(views)
        ]
    report = craft.report(craft.pcapng(tmp_path / "a", sights, [Interface("br-app")]))
    assert craft.packets_by_pair(report) == {
        ("product-service", "nginx-lb", "TCP", 80): len(connection.sent)
    }
    assert report.pairs[0].connections == 1
    assert report.pairs[0].verdict == "undeclared"


def test_one_datagram_to_two_servers_is_two(tmp_path: Path):
    """musl asks every name server at once, with the same number and no identification."""
    ask = craft.udp(40000, 53, b"\x12\x34" + bytes(20))
    sent = [craft.ipv4(craft.ORDER, server, 17, ask) for server in ("192.0.2.53", "192.0.2.54")]
    sights = []
    for number, packet in enumerate(sent):
        outside = translated(packet, source="198.51.100.1")
        sights += [
            Frame(ethernet(view), START_NS + number * 10_000 + place * 1000, place)
            for place, view in enumerate((packet, outside))
        ]
    report = craft.report(
        craft.pcapng(tmp_path / "a", sights, [Interface("br-app"), Interface("eth0")])
    )
    assert craft.packets_by_pair(report) == {("order-service", "outside", "UDP", 53): 2}


def test_masquerade_keeps_the_client(tmp_path: Path):
    connection = Connection(craft.ORDER, craft.CLIENT, 443).open()
    sights = []
    for number, packet in enumerate(connection.sent):
        request = packet[12:16] == connection.sent[0][12:16]
        outside = (
            translated(packet, source="198.51.100.1")
            if request
            else translated(packet, target="198.51.100.1")
        )
        views = [(0, packet), (1, outside)] if request else [(1, outside), (0, packet)]
        sights += [
            Frame(ethernet(view), START_NS + number * 100_000 + at * 1000, place)
            for at, (place, view) in enumerate(views)
        ]
    report = craft.report(
        craft.pcapng(tmp_path / "a", sights, [Interface("br-app"), Interface("eth0")])
    )
    assert craft.packets_by_pair(report) == {("order-service", "outside", "TCP", 443): 3}
    assert report.pairs[0].verdict == "declared"


def test_of_several_rewritings_the_last_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The last packet is seen no further than the middle; still it goes where the others went."""

    monkeypatch.setattr(pcapng, "BATCH_PACKETS", 3)
    connection = Connection(craft.CLIENT, "198.51.100.1", 8080)
    sights = []
    for number, length in enumerate((0, 10, 20)):
        packet = connection.send(0, ACK, bytes(length))
        middle = translated(packet, target=craft.HOST)
        views = [packet, middle, translated(middle, target=craft.NGINX, ports="40000>80")]
        sights += [
            Frame(ethernet(view), START_NS + number * 100_000 + place * 1000, place)
            for place, view in enumerate(views)
        ]
    report = craft.report(craft.pcapng(tmp_path / "a", sights[:-1], VETHS))
    assert craft.packets_by_pair(report) == {("outside", "nginx-lb", "TCP", 80): 3}


def test_a_cooked_capture_of_all_interfaces_counts_once_too(tmp_path: Path):
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open().ask()
    header = bytes(14) + b"\x08\x00"
    frames = [
        Frame(header + packet, START_NS + number * 100_000 + place * 1000)
        for number, packet in enumerate(connection.sent)
        for place in range(3)
    ]
    report = craft.report(craft.pcap(tmp_path / "a", frames, link=113))
    assert (report.packets, report.sights) == (len(connection.sent), len(frames))
    assert report.pairs[0].resent == 0
    assert any("does not name the interface" in note for note in report.notes)


def test_the_second_cooked_header_tells_interfaces_apart(tmp_path: Path):
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open()
    connection.send(0, ACK, b"x" * 100)
    connection.send(0, ACK, b"x" * 100, again=100)
    packets = [packet[:4] + b"\0\0" + packet[6:] for packet in connection.sent]
    frames = [
        Frame(
            struct.pack(">HHIHBB8s", 0x0800, 0, place + 1, 1, 0, 6, b"") + packet,
            START_NS + number * 100_000 + place * 1000,
        )
        for number, packet in enumerate(packets)
        for place in range(3)
    ]
    report = craft.report(craft.pcap(tmp_path / "a", frames, link=276))
    assert (report.packets, report.pairs[0].resent) == (5, 1)


def test_the_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(deduplicator, "REMEMBERED", 8)
    connection = Connection(craft.NGINX, craft.GATEWAY, 3000).open().ask().close()
    file = craft.pcapng(tmp_path / "a", sighted(connection.sent, 3), VETHS)
    assert craft.report(file).packets == len(connection.sent)


def test_a_retired_half_flow_stays_retired():
    """The table is emptied twice while a packet of a retired flow is remembered."""
    packets = Packets.blank(2)
    packets.same[:] = 7, 8
    memory = deduplicator.Deduplicator()
    memory.sightings(packets, np.array([0, 2]))
    memory.renumber(np.array([-1, -1, 0, 1]))
    memory.renumber(np.array([4, 5]))
    packets.place[:] = 1
    assert memory.sightings(packets, np.array([6, 4])).first_half.tolist() == [-1, 4]


def test_equal_packets_keep_their_numbers_when_the_first_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):

    monkeypatch.setattr(pcapng, "BATCH_PACKETS", 1)
    monkeypatch.setattr(deduplicator, "REMEMBERED", 1)
    packet = ethernet(craft.ipv4(craft.NGINX, craft.GATEWAY, 6, craft.tcp(40000, 3000, SYN)))
    frames = [Frame(packet, START_NS + number * 200_000_000) for number in range(4)]
    assert craft.report(craft.pcapng(tmp_path / "a", frames)).packets == 4

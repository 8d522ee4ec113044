"""Pairs and addresses without end are bounded, and no packet is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import craft
from tests.support.craft import START_NS, SYN, Connection, Frame, Interface, ethernet
from tests.support.traffic_cases import PACKET
from twinstack.observe.traffic import totals


def test_pairs_past_a_number_lose_their_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(totals, "MAX_PAIRS", 5)
    segments = [craft.tcp(40000, port, SYN, seq=port) for port in range(1, 50)]
    frames = [ethernet(craft.ipv4(craft.ORDER, craft.REDIS, 6, segment)) for segment in segments]
    report = craft.report(craft.pcap(tmp_path / "a.pcap", craft.spaced(frames)))
    assert len(report.pairs) == 6
    assert report.packets == sum(pair.packets for pair in report.pairs) == 49
    assert any("without their ports" in note for note in report.notes)


def test_addresses_past_a_number_are_left_out_of_the_talkers(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(totals, "MAX_TALKERS", 10)
    frames = [
        ethernet(
            craft.ipv4(f"203.0.113.{number}", craft.NGINX, 17, craft.udp(9, 53, bytes(number)))
        )
        for number in range(1, 60)
    ]
    report = craft.report(craft.pcap(tmp_path / "a.pcap", craft.spaced(frames)))
    assert report.talkers[0].address == "203.0.113.59"
    assert any("left out of the talkers" in note for note in report.notes)


def test_an_encapsulated_packet_is_what_it_carries(tmp_path: Path):
    connection = Connection(craft.GATEWAY, craft.PRODUCT, 5000).open().ask()
    sights = [
        Frame(
            craft.vxlan(ethernet(packet)) if place == 1 else ethernet(packet),
            START_NS + number * 100_000 + place * 1000,
            place,
        )
        for number, packet in enumerate(connection.sent)
        for place in (0, 1)
    ]
    report = craft.report(
        craft.pcapng(tmp_path / "a", sights, [Interface("br-a"), Interface("eth0")])
    )
    assert craft.packets_by_pair(report) == {
        ("api-gateway", "product-service", "TCP", 5000): len(connection.sent)
    }
    assert report.tunnels[0].packets == len(connection.sent)


def test_a_carrier_is_listed_apart_from_what_it_carries(tmp_path: Path):
    inner = ethernet(PACKET)
    outer = craft.vxlan(inner, vni=42)
    file = craft.pcapng(tmp_path / "a.pcapng", [Frame(outer)], [Interface("eth0")])
    (tunnel,) = craft.report(file).tunnels
    assert (tunnel.source, tunnel.destination, tunnel.vni) == ("192.0.2.1", "192.0.2.2", 42)
    assert (tunnel.place, tunnel.packets, tunnel.bytes) == ("eth0", 1, len(outer))
    assert craft.report(file).bytes == len(inner)

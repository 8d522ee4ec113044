"""An encapsulated packet is what it carries; its carrier is listed apart."""

from __future__ import annotations

from pathlib import Path

from tests.support import craft
from tests.support.craft import START_NS, Connection, Frame, Interface, ethernet
from tests.support.traffic_cases import PACKET


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
    found = craft.report(
        craft.pcapng(tmp_path / "a", sights, [Interface("br-a"), Interface("eth0")])
    )
    assert craft.packets_by_pair(found) == {
        ("api-gateway", "product-service", "TCP", 5000): len(connection.sent)
    }
    assert found.tunnels[0].packets == len(connection.sent)


def test_a_carrier_is_listed_apart_from_what_it_carries(tmp_path: Path):
    inner = ethernet(PACKET)
    outer = craft.vxlan(inner, vni=42)
    file = craft.pcapng(tmp_path / "a.pcapng", [Frame(outer)], [Interface("eth0")])
    (tunnel,) = craft.report(file).tunnels
    assert (tunnel.source, tunnel.destination, tunnel.vni) == ("192.0.2.1", "192.0.2.2", 42)
    assert (tunnel.place, tunnel.packets, tunnel.bytes) == ("eth0", 1, len(outer))
    assert craft.report(file).bytes == len(inner)

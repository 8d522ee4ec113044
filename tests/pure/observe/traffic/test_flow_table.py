"""The client of a connection is recognised; a full table retires the silent flows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import craft
from tests.support.craft import ACK, PSH, SYN, Connection, ethernet
from twinstack.observe.traffic import analysis, flow_table, pcap


def test_who_serves_is_told_without_a_handshake(tmp_path: Path):
    one = Connection(craft.PRODUCT, craft.REDIS, 6379, 3000)  # a client's port that others serve
    one.send(1, PSH | ACK, b"+OK\r\n")
    one.send(0, ACK)
    two = Connection(craft.ORDER, craft.REDIS, 6379, 50000)
    two.send(1, PSH | ACK, b"+OK\r\n")
    found = craft.packets_by_pair(craft.report(craft.connections(tmp_path, one, two)))
    assert found[("order-service", "redis-cache", "TCP", 6379)] == 1


def test_who_serves_is_told_by_the_answer_to_a_syn(tmp_path: Path):
    one = Connection(craft.CLIENT, "198.51.100.7", 50000, 40000)
    one.send(1, SYN | ACK)
    other = Connection(craft.CLIENT, "198.51.100.7", 40001, 50001)
    other.send(1, SYN | ACK)
    found = craft.report(craft.connections(tmp_path, one, other))
    assert {pair.server_port for pair in found.pairs} == {50000, 40001}


def bounded(monkeypatch: pytest.MonkeyPatch, packets: int, most: int) -> None:

    monkeypatch.setattr(pcap, "BATCH_PACKETS", packets)
    monkeypatch.setattr(analysis, "PIECE_BYTES", 1 << 16)
    monkeypatch.setattr(flow_table, "MAX_FLOWS", most)


def test_a_full_table_lets_silent_flows_go_and_counts_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    packets = []
    for port in range(1000, 1400):
        packets += Connection(craft.GATEWAY, craft.PRODUCT, 5000, port).open().ask().close().sent
    file = craft.pcap(tmp_path / "a.pcap", craft.spaced(map(ethernet, packets)))
    whole = craft.report(file)
    bounded(monkeypatch, 16, 64)
    held: list[int] = []
    enter = flow_table.FlowTable.half_flows

    def watched(self, batch):
        found = enter(self, batch)
        held.append(self.count)
        return found

    monkeypatch.setattr(flow_table.FlowTable, "half_flows", watched)
    found = craft.report(file)
    assert max(held) <= 64
    assert found.packets == whole.packets == len(packets)
    (one,), (expected,) = found.pairs, whole.pairs
    assert (one.packets_there, one.bytes_back) == (expected.packets_there, expected.bytes_back)
    assert one.connections >= expected.connections
    assert sum(http.count for http in found.http) == 400

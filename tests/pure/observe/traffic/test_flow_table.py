"""The client of a connection is recognised; a full table retires the silent flows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import craft
from tests.support.craft import ACK, PSH, SYN, Connection, ethernet
from twinstack.observe.traffic import analysis, flow_table, pcap


def test_the_server_is_recognised_without_a_handshake(tmp_path: Path):
    connection = Connection(
        craft.PRODUCT, craft.REDIS, 6379, 3000
    )  # a client's port that others serve
    connection.send(1, PSH | ACK, b"+OK\r\n")
    connection.send(0, ACK)
    two = Connection(craft.ORDER, craft.REDIS, 6379, 50000)
    two.send(1, PSH | ACK, b"+OK\r\n")
    packets = craft.packets_by_pair(craft.report(craft.connections(tmp_path, connection, two)))
    assert packets[("order-service", "redis-cache", "TCP", 6379)] == 1


def test_the_server_is_recognised_by_its_answer_to_a_syn(tmp_path: Path):
    connection = Connection(craft.CLIENT, "198.51.100.7", 50000, 40000)
    connection.send(1, SYN | ACK)
    other = Connection(craft.CLIENT, "198.51.100.7", 40001, 50001)
    other.send(1, SYN | ACK)
    report = craft.report(craft.connections(tmp_path, connection, other))
    assert {pair.server_port for pair in report.pairs} == {50000, 40001}


def bounded(monkeypatch: pytest.MonkeyPatch, packets: int, most: int) -> None:

    monkeypatch.setattr(pcap, "BATCH_PACKETS", packets)
    monkeypatch.setattr(analysis, "PIECE_BYTES", 1 << 16)
    monkeypatch.setattr(flow_table, "MAX_FLOWS", most)


def test_a_full_table_retires_silent_flows_and_counts_the_same(
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
        report = enter(self, batch)
        held.append(self.count)
        return report

    monkeypatch.setattr(flow_table.FlowTable, "half_flows", watched)
    report = craft.report(file)
    assert max(held) <= 64
    assert report.packets == whole.packets == len(packets)
    (pair,), (expected,) = report.pairs, whole.pairs
    assert (pair.packets_there, pair.bytes_back) == (expected.packets_there, expected.bytes_back)
    assert pair.connections >= expected.connections
    assert sum(http.count for http in report.http) == 400

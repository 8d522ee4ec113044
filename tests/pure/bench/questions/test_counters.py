"""Counters of every protocol are read by name."""

from __future__ import annotations

from bench.questions.counters import parse_snmp


def test_counters_are_read_by_protocol_and_name() -> None:
    text = "Tcp: ActiveOpens PassiveOpens\nTcp: 7 9\nUdp: InDatagrams OutDatagrams\nUdp: 1 2\n"
    assert parse_snmp(text)["Tcp", "PassiveOpens"] == 9
    assert parse_snmp(text)["Udp", "OutDatagrams"] == 2

"""DeniedPacket packets are counted, summed and named."""

from __future__ import annotations

from tests.support.core_cases import planned
from twinstack.linux.nflog import DeniedPacket
from twinstack.policy import drops

SAVED = """\
*filter
[7:420] -A TS-main-DENY -m limit --limit 20/sec -j NFLOG --nflog-group 7311
[12:720] -A TS-main-DENY -m comment --comment "twinstack:main denied" -j DROP
[99:1] -A TS-main-D-DENY -m comment --comment "twinstack:main denied" -j DROP
COMMIT
"""


def test_every_denied_packet_of_a_world_is_counted():
    assert drops.count(planned(), "net", SAVED) == 12
    assert drops.count(planned(), "docker", SAVED) == 99
    assert drops.count(planned(), "net", "*filter\n") == 0


def test_packets_are_summed_by_replica_and_port():
    packet = DeniedPacket("p", "10.0.0.10", "10.0.0.50", "tcp", 6379)
    strange = DeniedPacket("p", "192.0.2.7", "10.0.0.1", "icmp", 0)
    endpoints = drops.endpoints_by_address(planned(), "net")
    flows = drops.summed([strange, packet, packet], endpoints)
    assert [(flow.source, flow.destination, flow.logged) for flow in flows] == [
        ("nginx-lb", "redis-cache", 2),
        ("outside (192.0.2.7)", "host", 1),
    ]
    report = drops.DropReport(4.0, (drops.DroppedPackets("net", 100, 120, flows),))
    assert "  2  nginx-lb → redis-cache tcp/6379" in drops.text(report)
    assert "3 of them logged" in drops.text(report)

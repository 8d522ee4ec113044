"""Time is divided into steps that grow."""

from __future__ import annotations

from pathlib import Path

from tests.support import craft
from tests.support.craft import ACK, START_NS, Connection, Frame, ethernet


def test_time_has_steps_that_grow(tmp_path: Path):
    packets = [
        Connection(craft.NGINX, craft.GATEWAY, 3000).send(0, ACK, bytes([n])) for n in range(50)
    ]
    frames = [
        Frame(ethernet(packet), START_NS + number * 60_000_000_000)
        for number, packet in enumerate(packets)
    ]
    report = craft.report(craft.pcap(tmp_path / "a.pcap", frames))
    assert len(report.moments) <= 240
    assert sum(step.packets for step in report.moments) == 50
    assert report.seconds == 49 * 60
    assert report.step_s * len(report.moments) >= report.seconds

"""Time is divided into steps that grow."""

from __future__ import annotations

from pathlib import Path

from tests.support import craft
from tests.support.craft import ACK, START_NS, Connection, Frame, ethernet


def test_time_is_told_in_steps_that_grow(tmp_path: Path):
    packets = [
        Connection(craft.NGINX, craft.GATEWAY, 3000).send(0, ACK, bytes([n])) for n in range(50)
    ]
    frames = [
        Frame(ethernet(one), START_NS + number * 60_000_000_000)
        for number, one in enumerate(packets)
    ]
    found = craft.report(craft.pcap(tmp_path / "a.pcap", frames))
    assert len(found.moments) <= 240
    assert sum(one.packets for one in found.moments) == 50
    assert found.seconds == 49 * 60
    assert found.step_s * len(found.moments) >= found.seconds

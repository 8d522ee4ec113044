"""A report has the sections that have rows."""

from __future__ import annotations

from pathlib import Path

from tests.support import craft
from tests.support.craft import Frame, ethernet
from twinstack.observe.traffic.sections import sections


def test_sections_without_rows_are_left_out(tmp_path: Path):
    frame = Frame(ethernet(craft.arp(craft.NGINX, craft.HOST), 0x0806))
    report = craft.report(craft.pcap(tmp_path / "a.pcap", [frame]))
    assert [section.key for section in sections(report)] == [
        "pairs",
        "protocols",
        "talkers",
        "interfaces",
    ]

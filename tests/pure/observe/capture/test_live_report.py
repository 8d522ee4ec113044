"""A report of a live capture notes what the capture lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import craft
from tests.support.craft import Frame
from tests.support.project import ROOT
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load
from twinstack.observe.capture import live_report
from twinstack.observe.capture.report import CaptureResult, LinkCapture

LINK = LinkCapture("nginx-lb/eth0", "inside", 1234, 567_890, 0, 0, 0, "", "", ("a/x.pcapng",))


def test_a_report_of_a_capture_notes_what_that_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = craft.pcap(tmp_path / "a.pcap", [Frame(bytes(3))])
    links = (
        replace(LINK, files=(str(file),), unkept=1234, unkept_because="the file was full"),
        replace(LINK, link="br-app", files=(), failed="it went down"),
    )
    stopped = CaptureResult("a", 1.26, True, links)
    monkeypatch.setattr(live_report, "capture_groups", lambda *_, **__: (stopped,))
    monkeypatch.setattr(live_report, "_host_addresses", lambda _links: ())
    plan = resolve(load(ROOT / "topology.yml"), "flat")
    report = live_report.live_report([], [plan], 10, lambda _line: None)
    assert report.notes == (
        "stopped after 1.3 s of 10 s",
        "nginx-lb/eth0: 1,234 packets came when the file was full",
        "br-app: it went down",
        "1 packet is shorter than the headers in it",
    )
    whole = CaptureResult("a", 10.0, False, (replace(LINK, files=(str(file),)),))
    monkeypatch.setattr(live_report, "capture_groups", lambda *_, **__: (whole,))
    assert live_report.live_report([], [plan], 10, lambda _line: None).notes == report.notes[-1:]

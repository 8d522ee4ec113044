"""The summary of a capture has a row for each link, and says what was lost and why."""

from __future__ import annotations

from dataclasses import replace

from twinstack.observe.capture.report import CaptureResult, LinkCapture, text

LINK = LinkCapture("nginx-lb/eth0", "inside", 1234, 567_890, 0, 0, 0, "", "", ("a/x.pcapng",))


def test_the_summary_says_what_was_lost_and_why():
    lost = replace(
        LINK,
        link="br-app",
        kind="bridge",
        dropped=7,
        discarded=5,
        unkept=3,
        unkept_because="the file was full",
        failed="it went down",
    )
    lines = text(CaptureResult("a", 1.26, True, (LINK, lost))).splitlines()
    assert lines[1] == "nginx-lb/eth0       1,234    568 kB         0"
    assert lines[2].endswith(
        "7  (5 in files removed since; 3 came when the file was full; it went down)"
    )
    lost = replace(lost, unkept_because="the file could not be written", failed="")
    lines = text(CaptureResult("a", 1.26, True, (LINK, lost))).splitlines()
    assert lines[2].endswith(
        "7  (5 in files removed since; 3 came when the file could not be written)"
    )
    assert lines[3] == "2,468 packets in 1.3 s, stopped; 2 files in a"
    assert lines[4].startswith("! the kernel had no room for 7 more packets")


def test_a_summary_without_loss_ends_with_its_files():
    lines = text(CaptureResult("a", 10.0, False, (LINK,))).splitlines()
    assert lines[-1] == "1,234 packets in 10.0 s; 1 file in a"

"""A live report leaves no file behind."""

from __future__ import annotations

import threading

import pytest

from tests.support.loopback import in_own_netns, send_datagrams
from twinstack.observe.capture.live_report import live_report
from twinstack.observe.traffic.report import TrafficReport
from twinstack.world import Link

pytestmark = pytest.mark.kernel


def test_a_live_report_names_no_file():
    def work() -> TrafficReport:
        threading.Timer(0.2, send_datagrams, (3,)).start()
        return live_report([Link("lo", "host end", "", "", "")], [], 0.6, lambda _line: None)

    result: TrafficReport = in_own_netns(work)
    assert (result.files, result.packets) == ((), 3)

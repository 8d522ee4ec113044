from __future__ import annotations

import pytest

from twinstack.overlay.chaos import Attempt, FaultReport, phases

ATTEMPTS = [Attempt(0.1, 0.1, 200, "a"), Attempt(1.1, 0.2, 0, ""), Attempt(1.5, 0.1, 200, "b")]
PHASES = tuple(phases(ATTEMPTS, [("before", 0.0), ("during", 1.0)], 2.0))


def test_what_a_client_saw_is_divided_at_the_marks():
    before, during = PHASES
    assert (before.asked, before.good, before.served_by) == (1, 1, ("a",))
    assert (during.asked, during.good, during.served_by) == (2, 1, ("b",))
    assert during.longest_gap_s == pytest.approx(0.6)


def test_a_host_recovered_if_every_request_at_the_end_was_answered():
    assert FaultReport("mtu", "host-3", "host-1", PHASES[:1]).recovered
    assert not FaultReport("mtu", "host-3", "host-1", PHASES).recovered

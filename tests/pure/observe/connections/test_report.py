"""Counts of a snapshot add up."""

from __future__ import annotations

from tests.support.connection_cases import pair
from twinstack.observe.connections.report import ConntrackEvents


def test_states_are_counted_together():
    found = pair({"SYN_RECV": 2, "ESTABLISHED": 5})
    assert found.count("SYN_RECV", "ESTABLISHED", "TIME_WAIT") == 7
    assert ConntrackEvents(2.0, 3, 1, 0).per_s(3) == 1.5
    assert ConntrackEvents(0.0, 3, 1, 0).per_s(1) == 0.0
    assert ConntrackEvents(2.0, 3, 1, 0) + ConntrackEvents(1.0, 1, 0, 2) == ConntrackEvents(
        3.0, 4, 1, 2
    )

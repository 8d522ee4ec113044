"""The JSON document of a snapshot keeps its keys."""

from __future__ import annotations

from tests.support.connection_cases import TABLE, pair
from twinstack.observe.connections.report import (
    Connections,
    ConnectionWarning,
    ConntrackEvents,
    document,
)


def test_the_document_of_a_snapshot_keeps_the_keys_that_scripts_use():
    warning = ConnectionWarning("near-full table", "the table holds 9 of 10")
    events = ConntrackEvents(2.0, 3, 1, 0)
    pairs = (pair({"SYN_RECV": 2, "ESTABLISHED": 5}),)
    made = document(Connections("net", "flat", TABLE, pairs, (), (), (), (), events, (warning,)))
    assert " ".join(made) == (
        "world shape table pairs translations sources sockets absent events concerns"
    )
    assert made["concerns"] == ({"rule": warning.rule, "says": warning.says},)
    assert made["events"] == {"seconds": 2.0, "new": 3, "ended": 1, "lost": 0}


def test_states_are_counted_together():
    found = pair({"SYN_RECV": 2, "ESTABLISHED": 5})
    assert found.count("SYN_RECV", "ESTABLISHED", "TIME_WAIT") == 7
    assert ConntrackEvents(2.0, 3, 1, 0).per_s(3) == 1.5
    assert ConntrackEvents(0.0, 3, 1, 0).per_s(1) == 0.0
    assert ConntrackEvents(2.0, 3, 1, 0) + ConntrackEvents(1.0, 1, 0, 2) == ConntrackEvents(
        3.0, 4, 1, 2
    )

"""A snapshot fits a terminal, and says which table each figure is of."""

from __future__ import annotations

from dataclasses import replace

from tests.support.connection_cases import TABLE, connections, group, inside, pair
from twinstack.observe.connections import warnings
from twinstack.observe.connections.report import Connections, ConntrackEvents
from twinstack.observe.connections.text import text


def test_the_text_fits_eighty_columns_and_says_which_table():
    found = Connections(
        "net",
        "flat",
        TABLE,
        connections(
            {
                group(
                    "203.0.113.200",
                    "203.0.113.100",
                    8080,
                    by="10.0.0.1",
                    becomes="10.0.0.10",
                    new_port=80,
                ): 100000,
                group("10.0.0.10", "10.0.0.50", 6379): 1,
            }
        ).pairs(),
        (),
        (),
        (inside(tracked=3),),
        ("order-service",),
        ConntrackEvents(2.0, 10, 4, 1),
        warnings.warnings(replace(TABLE, entries=900), [pair({}, "redis-cache")], []),
    )
    written = text(found)
    assert max(len(line) for line in written.splitlines()) <= 80
    assert "! near-full table: the table holds 900 of 1000" in written
    assert "tracked inside namespaces too: every replica (3 to 3 each)" in written
    assert "absent: order-service" in written
    assert "5.0 new and 2.0 ended a second, in 2.0 s, of the whole table; more were" in written

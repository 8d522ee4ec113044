"""Each rule warns at its threshold, and not below it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.connection_cases import TABLE, connections, group, inside, pair
from twinstack.linux.conntrack import ConntrackStats
from twinstack.observe.connections import warnings
from twinstack.observe.connections.report import AcceptQueue, ConntrackTable


@pytest.mark.parametrize(
    ("table", "rules"),
    [
        (replace(TABLE, entries=799), []),
        (replace(TABLE, entries=800), ["near-full table"]),
        (replace(TABLE, limit=None, entries=10**6), []),
        (replace(TABLE, pressure=ConntrackStats(1, 0, 0)), ["near-full table"]),
    ],
)
def test_a_table_is_near_full_at_four_fifths_or_when_it_dropped_something(
    table: ConntrackTable, rules: list[str]
):
    assert [one.rule for one in warnings.near_full(table)] == rules


@pytest.mark.parametrize(
    ("tracked_half", "held", "other", "warned"),
    [
        (64, 0, 64, True),
        (63, 0, 0, False),
        (64, 0, 65, False),
        (0, 64, 0, True),
        (0, 64, 200, False),
    ],
)
def test_half_open_connections_are_a_flood_when_many_and_most(
    tracked_half: int, held: int, other: int, warned: bool
):
    pairs = [pair({"SYN_RECV": tracked_half, "ESTABLISHED": other})]
    found = list(warnings.syn_flood(pairs, [inside(states={"SYN_RECV": held})]))
    assert [one.rule for one in found] == (["SYN flood"] if warned else [])


def test_a_dead_service_is_unanswered_and_no_flood():
    found = warnings.warnings(TABLE, [pair({"SYN_SENT": 70})], [])
    assert [one.rule for one in found] == ["unanswered"]
    assert "nginx-lb does not answer 70 of 70" in found[0].says


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        ({"to_busiest": 50}, True),
        ({"to_busiest": 49}, False),
        ({"states": {"TIME_WAIT": 800}}, True),
        ({"states": {"TIME_WAIT": 799}}, False),
        ({"to_busiest": 50, "local_ports": None}, False),
    ],
)
def test_time_wait_piles_up_towards_one_peer_or_in_all(words: dict[str, object], warned: bool):
    found = list(warnings.time_wait([inside(**words)]))  # type: ignore[arg-type]
    assert [one.rule for one in found] == (["TIME_WAIT pile-up"] if warned else [])


def test_a_listener_with_a_full_accept_queue_is_named():
    full = inside(listening=(AcceptQueue(80, 8, 10), AcceptQueue(81, 7, 10)))
    assert [one.says for one in warnings.slow_to_accept([full])] == [
        "nginx-lb lets 8 of at most 10 connections wait at port 80"
    ]


def test_undeclared_connections_are_a_warning():
    counts = {group("10.0.0.10", "10.0.0.50", 6379): 2, group("10.0.0.10", "10.0.0.20", 3000): 1}
    found = warnings.warnings(TABLE, connections(counts).pairs(), [])
    assert [one.says for one in found] == [
        "2 connections from nginx-lb to redis-cache port 6379 by TCP"
    ]

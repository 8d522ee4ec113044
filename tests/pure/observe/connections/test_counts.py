"""Connections are counted by service, translation and source; each rule warns at its threshold."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.pure.test_project import ROOT
from tests.support import craft
from twinstack.linux import conntrack, sock_diag
from twinstack.linux.conntrack import Pressure
from twinstack.linux.sock_diag import Socket
from twinstack.model.plan import resolve
from twinstack.model.topology import WorldName
from twinstack.model.topology_file import load
from twinstack.observe.connections import warnings
from twinstack.observe.connections.counts import Alike, Tally, place
from twinstack.observe.connections.report import (
    Connections,
    Events,
    Listener,
    Pair,
    Sockets,
    Table,
)
from twinstack.observe.connections.socket_summary import Gathered, port_count, sockets_of
from twinstack.observe.connections.text import text

PLAN = resolve(load(ROOT / "topology.yml"), "flat")
TABLE = Table(10, 1000, 10, 10, Pressure(0, 0, 0))
TCP, UDP = 6, 17


def raw(address: str) -> bytes:
    return ip_address(address).packed


def seen(
    source: str,
    to: str,
    port: int,
    *,
    state: str = "ESTABLISHED",
    by: str = "",
    becomes: str = "",
    new_port: int = 0,
    protocol: int = TCP,
) -> Alike:
    return Alike(
        protocol,
        state,
        raw(source),
        raw(to),
        port,
        raw(by or source),
        raw(becomes or to),
        new_port or port,
    )


def tally(counts: dict[Alike, int], world: WorldName = "net") -> Tally:
    return Tally(Counter(counts), craft.names(), PLAN, world)


def test_connections_are_counted_by_service_pair_and_state():
    found = tally(
        {
            seen("10.0.0.10", "10.0.0.20", 3000): 3,
            seen("10.0.0.10", "10.0.0.20", 3000, state="TIME_WAIT"): 2,
            seen("10.0.0.30", "10.0.0.50", 6379): 1,
            seen("10.0.0.31", "10.0.0.50", 6379): 1,
        }
    ).pairs()
    assert [(one.client, one.server, one.port, dict(one.states)) for one in found] == [
        ("nginx-lb", "api-gateway", 3000, {"ESTABLISHED": 3, "TIME_WAIT": 2}),
        ("product-service", "redis-cache", 6379, {"ESTABLISHED": 2}),
    ]
    assert {one.verdict for one in found} == {"declared"}


def test_what_nobody_declared_is_called_so():
    assert tally({seen("10.0.0.10", "10.0.0.50", 6379): 1}).pairs()[0].verdict == "undeclared"


def test_a_door_counts_for_the_service_behind_it_and_shows_both_addresses():
    door = seen("127.0.0.1", "127.0.0.1", 8080, by="10.0.0.1", becomes="10.0.0.10", new_port=80)
    found = tally({door: 4})
    assert [(one.client, one.server, one.port) for one in found.pairs()] == [
        ("host", "nginx-lb", 80)
    ]
    told = found.translations()[0]
    assert (
        told.kind,
        told.source,
        told.destination,
        told.new_source,
        told.new_destination,
        told.connections,
    ) == ("DNAT+SNAT", "127.0.0.1", "127.0.0.1:8080", "10.0.0.1", "10.0.0.10:80", 4)


def test_another_address_is_a_translation_though_the_port_stays():
    led = seen("203.0.113.9", "203.0.113.1", 80, becomes="10.0.0.10")
    assert [one.kind for one in tally({led: 1}).translations()] == ["DNAT"]


def test_what_a_replica_sends_out_is_masked_and_nothing_more():
    out = seen("10.0.0.30", "203.0.113.10", 443, by="203.0.113.1")
    assert [one.kind for one in tally({out: 1}).translations()] == ["SNAT"]
    assert tally({seen("10.0.0.10", "10.0.0.20", 3000): 1}).translations() == ()


def test_strangers_and_the_other_world_are_left_out():
    counts = {
        seen("192.0.2.1", "192.0.2.2", 80): 5,
        seen("172.30.0.10", "172.30.0.20", 3000): 2,
        seen("10.0.0.10", "10.0.0.20", 3000): 1,
    }
    assert tally(counts).total == 1
    assert tally(counts, "docker").total == 2


def test_a_program_at_a_door_counts_for_its_world():
    proxy = {seen("127.0.0.1", "127.0.0.1", 3000): 2}
    assert tally(proxy, "docker").total == 2
    assert tally(proxy).total == 0
    assert tally({seen("192.0.2.1", "192.0.2.2", 3000): 2}, "docker").total == 0


def test_sources_are_replicas_and_addresses_most_first():
    found = tally(
        {
            seen(
                "203.0.113.9",
                "203.0.113.1",
                8080,
                state="SYN_RECV",
                becomes="10.0.0.10",
                new_port=80,
            ): 7,
            seen("10.0.0.30", "10.0.0.50", 6379): 9,
        }
    ).sources()
    assert [(one.instance, one.connections, one.half_open) for one in found] == [
        ("product-service", 9, 0),
        ("203.0.113.9", 7, 7),
    ]


def test_an_entry_without_addresses_is_refused():
    with pytest.raises(ValueError, match="without its addresses"):
        conntrack.read_entry(memoryview(bytes(4)))


@pytest.mark.parametrize("cut", range(0, 120, 7))
def test_a_cut_message_is_an_entry_or_a_value_error(cut: int):
    way = struct.pack("=HHHH", 52, 1 | 0x8000, 20, 1 | 0x8000) + bytes(44)
    body = memoryview((bytes(4) + way * 2)[:cut])
    with pytest.raises(ValueError, match="without its addresses"):
        conntrack.read_entry(body)


@pytest.mark.parametrize(
    ("table", "rules"),
    [
        (replace(TABLE, entries=799), []),
        (replace(TABLE, entries=800), ["near-full table"]),
        (replace(TABLE, limit=None, entries=10**6), []),
        (replace(TABLE, pressure=Pressure(1, 0, 0)), ["near-full table"]),
    ],
)
def test_a_table_is_near_full_at_four_fifths_or_when_it_turned_something_away(
    table: Table, rules: list[str]
):
    assert [one.rule for one in warnings.near_full(table)] == rules


def pair(states: dict[str, int], server: str = "nginx-lb") -> Pair:
    return Pair("outside", server, "TCP", 80, sum(states.values()), states, "declared")


def inside(
    replica: str = "nginx-lb", states: dict[str, int] | None = None, **words: object
) -> Sockets:
    plain = Sockets(replica, replica, states or {}, (), 1000, 100, "", 0, 0)
    return replace(plain, **words)  # type: ignore[arg-type]


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
    found = warnings.concerns(TABLE, [pair({"SYN_SENT": 70})], [])
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


def test_a_listener_that_lets_wait_is_named():
    full = inside(listening=(Listener(80, 8, 10), Listener(81, 7, 10)))
    assert [one.says for one in warnings.waiting([full])] == [
        "nginx-lb lets 8 of at most 10 connections wait at port 80"
    ]


def test_time_wait_counts_where_the_port_is_the_namespaces_own():
    a, b = raw("10.0.0.50"), raw("10.0.0.10")
    found = Gathered()
    found.take(
        [
            Socket("LISTEN", b, 5000, bytes(4), 0, 1, 128),
            Socket("LISTEN", b, 5000, bytes(4), 0, 3, 128),
            Socket("TIME_WAIT", b, 5000, a, 40000, 0, 0),  # somebody came: that end keeps no port
            Socket("TIME_WAIT", b, 40001, a, 6379, 0, 0),
            Socket("TIME_WAIT", b, 40002, a, 6379, 0, 0),
        ]
    )
    told = sockets_of("product-service", "product-service", found, place)
    assert (told.busiest, told.to_busiest) == ("10.0.0.50:6379", 2)
    assert dict(told.states) == {"LISTEN": 2, "TIME_WAIT": 3}
    assert told.listening == (Listener(5000, 3, 128),)


def test_an_end_that_was_called_keeps_no_port():
    found = Gathered()
    called = raw("10.0.0.30")
    found.take(
        [
            Socket("LISTEN", called, 5000, bytes(4), 0, 0, 128),
            Socket("TIME_WAIT", called, 5000, raw("10.0.0.20"), 40000, 0, 0),
        ]
    )
    told = sockets_of("product-service", "product-service", found, place)
    assert (told.busiest, told.to_busiest, told.count("TIME_WAIT")) == ("", 0, 1)


def test_a_socket_is_read_as_the_kernel_lays_it_out():
    body = struct.pack("=BBBB", 2, 10, 0, 0) + struct.pack("!HH", 5000, 0)
    body += raw("10.0.0.30").ljust(16, b"\0") + bytes(16) + bytes(12)
    body += struct.pack("=IIIII", 0, 3, 128, 0, 0)
    assert sock_diag.read_socket(memoryview(body)) == Socket(
        "LISTEN", raw("10.0.0.30"), 5000, bytes(4), 0, 3, 128
    )


def test_local_ports_are_counted():
    assert port_count("32768\t60999\n") == 28232
    assert port_count("") is None


def test_the_text_fits_eighty_columns_and_says_which_table():
    found = Connections(
        "net",
        "flat",
        TABLE,
        tally(
            {
                seen(
                    "203.0.113.200",
                    "203.0.113.100",
                    8080,
                    by="10.0.0.1",
                    becomes="10.0.0.10",
                    new_port=80,
                ): 100000,
                seen("10.0.0.10", "10.0.0.50", 6379): 1,
            }
        ).pairs(),
        (),
        (),
        (inside(tracked=3),),
        ("order-service",),
        Events(2.0, 10, 4, 1),
        warnings.concerns(replace(TABLE, entries=900), [pair({}, "redis-cache")], []),
    )
    told = text(found)
    assert max(len(line) for line in told.splitlines()) <= 80
    assert "! near-full table: the table holds 900 of 1000" in told
    assert "for themselves track: every replica (3 to 3 each)" in told
    assert "not there: order-service" in told
    assert "5.0 new and 2.0 ended a second, in 2.0 s, of the whole table; more was" in told


def test_undeclared_connections_are_a_concern():
    counts = {seen("10.0.0.10", "10.0.0.50", 6379): 2, seen("10.0.0.10", "10.0.0.20", 3000): 1}
    found = warnings.concerns(TABLE, tally(counts).pairs(), [])
    assert [one.says for one in found] == [
        "2 connections from nginx-lb to redis-cache port 6379 by TCP"
    ]

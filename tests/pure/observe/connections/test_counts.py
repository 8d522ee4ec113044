"""Connections are counted by service, translation and source, and sockets by state."""

from __future__ import annotations

from tests.support.connection_cases import connections, group, raw
from twinstack.linux.sock_diag import TcpSocket
from twinstack.observe.connections.counts import count_sockets, port_count
from twinstack.observe.connections.report import AcceptQueue, NamespaceSockets


def test_connections_are_counted_by_service_pair_and_state():
    found = connections(
        {
            group("10.0.0.10", "10.0.0.20", 3000): 3,
            group("10.0.0.10", "10.0.0.20", 3000, state="TIME_WAIT"): 2,
            group("10.0.0.30", "10.0.0.50", 6379): 1,
            group("10.0.0.31", "10.0.0.50", 6379): 1,
        }
    ).pairs()
    assert [(one.client, one.server, one.port, dict(one.states)) for one in found] == [
        ("nginx-lb", "api-gateway", 3000, {"ESTABLISHED": 3, "TIME_WAIT": 2}),
        ("product-service", "redis-cache", 6379, {"ESTABLISHED": 2}),
    ]
    assert {one.verdict for one in found} == {"declared"}


def test_an_undeclared_connection_is_called_so():
    assert (
        connections({group("10.0.0.10", "10.0.0.50", 6379): 1}).pairs()[0].verdict == "undeclared"
    )


def test_a_published_port_counts_for_the_service_behind_it_and_shows_both_addresses():
    published = group(
        "127.0.0.1", "127.0.0.1", 8080, by="10.0.0.1", becomes="10.0.0.10", new_port=80
    )
    found = connections({published: 4})
    assert [(one.client, one.server, one.port) for one in found.pairs()] == [
        ("host", "nginx-lb", 80)
    ]
    reported = found.translations()[0]
    assert (
        reported.kind,
        reported.source,
        reported.destination,
        reported.new_source,
        reported.new_destination,
        reported.connections,
    ) == ("DNAT+SNAT", "127.0.0.1", "127.0.0.1:8080", "10.0.0.1", "10.0.0.10:80", 4)


def test_another_address_is_a_translation_though_the_port_stays():
    translated = group("203.0.113.9", "203.0.113.1", 80, becomes="10.0.0.10")
    assert [one.kind for one in connections({translated: 1}).translations()] == ["DNAT"]


def test_only_connections_to_the_outside_are_masqueraded():
    out = group("10.0.0.30", "203.0.113.10", 443, by="203.0.113.1")
    assert [one.kind for one in connections({out: 1}).translations()] == ["SNAT"]
    assert connections({group("10.0.0.10", "10.0.0.20", 3000): 1}).translations() == ()


def test_connections_of_the_other_world_and_of_neither_are_left_out():
    counts = {
        group("192.0.2.1", "192.0.2.2", 80): 5,
        group("172.30.0.10", "172.30.0.20", 3000): 2,
        group("10.0.0.10", "10.0.0.20", 3000): 1,
    }
    assert connections(counts).total == 1
    assert connections(counts, "docker").total == 2


def test_docker_proxy_at_a_published_port_counts_for_its_world():
    proxy = {group("127.0.0.1", "127.0.0.1", 3000): 2}
    assert connections(proxy, "docker").total == 2
    assert connections(proxy).total == 0
    assert connections({group("192.0.2.1", "192.0.2.2", 3000): 2}, "docker").total == 0


def test_sources_are_replicas_and_addresses_most_first():
    found = connections(
        {
            group(
                "203.0.113.9",
                "203.0.113.1",
                8080,
                state="SYN_RECV",
                becomes="10.0.0.10",
                new_port=80,
            ): 7,
            group("10.0.0.30", "10.0.0.50", 6379): 9,
        }
    ).sources()
    assert [(one.instance, one.connections, one.half_open) for one in found] == [
        ("product-service", 9, 0),
        ("203.0.113.9", 7, 7),
    ]


def counted(*sockets: TcpSocket) -> NamespaceSockets:
    return count_sockets("product-service", "product-service", sockets, 0, None, None)


def test_time_wait_counts_where_the_port_is_a_local_one():
    a, b = raw("10.0.0.50"), raw("10.0.0.10")
    reported = counted(
        TcpSocket("LISTEN", b, 5000, bytes(4), 0, 1, 128),
        TcpSocket("LISTEN", b, 5000, bytes(4), 0, 3, 128),
        TcpSocket("TIME_WAIT", b, 5000, a, 40000, 0, 0),  # incoming: that end keeps no port
        TcpSocket("TIME_WAIT", b, 40001, a, 6379, 0, 0),
        TcpSocket("TIME_WAIT", b, 40002, a, 6379, 0, 0),
    )
    assert (reported.busiest, reported.to_busiest) == ("10.0.0.50:6379", 2)
    assert dict(reported.states) == {"LISTEN": 2, "TIME_WAIT": 3}
    assert reported.listening == (AcceptQueue(5000, 3, 128),)


def test_an_accepting_end_keeps_no_port():
    called = raw("10.0.0.30")
    reported = counted(
        TcpSocket("LISTEN", called, 5000, bytes(4), 0, 0, 128),
        TcpSocket("TIME_WAIT", called, 5000, raw("10.0.0.20"), 40000, 0, 0),
    )
    assert (reported.busiest, reported.to_busiest, reported.count("TIME_WAIT")) == ("", 0, 1)


def test_local_ports_are_counted():
    assert port_count(32768, 60999) == 28232
    assert port_count() is None

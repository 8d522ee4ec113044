"""The exchanges of a request are found by its id, or by their time; NAT's rewrites by the links."""

from __future__ import annotations

from dataclasses import replace

from tests.support import craft
from tests.support.journey_cases import (
    CLIENT,
    EDGE,
    REQUEST,
    REQUEST_ID,
    RESPONSE,
    SENT,
    Wire,
    back,
    name_of,
    whole,
)
from twinstack.observe.journey.exchanges import all_ends, find_exchanges, rewrites


def test_a_requests_exchanges_are_found_and_no_others():
    exchanges = find_exchanges(whole().sightings, REQUEST_ID, name_of)
    assert [(exchange.client, exchange.server) for exchange in exchanges] == [
        ("host", "nginx-lb"),
        ("nginx-lb", "api-gateway"),
        ("api-gateway", "redis-cache"),
        ("api-gateway", "redis-cache"),
    ]
    assert [exchange.request.payload for exchange in exchanges[2:]] == [b"GET a", b"GET c"]


def test_nat_between_two_links_splits_no_connection():
    wire = Wire()
    outside = ("203.0.113.10", 40000, "203.0.113.1", 8080)
    inside = ("203.0.113.10", 40000, craft.NGINX, 80)
    wire.send(30, outside, REQUEST, "uplink", "br", rewritten=inside)
    wire.send(50, back(inside), RESPONSE, "br", "uplink", rewritten=back(outside))
    (exchange,) = find_exchanges(wire.sightings, REQUEST_ID, name_of)
    assert [segment.payload for segment in exchange.responses] == [RESPONSE]


def test_nat_is_followed_from_the_clients_socket_on():
    (rewrite,) = rewrites(find_exchanges(whole().sightings, REQUEST_ID, name_of), SENT)
    assert rewrite.before_ends == "127.0.0.1:40000 → 127.0.0.1:8080"
    assert (rewrite.until, rewrite.after_ends) == ("br", "10.0.0.1:40000 → 10.0.0.10:80")


def test_nat_between_two_links_names_both():
    wire = Wire()
    outside = ("203.0.113.10", 40000, "203.0.113.1", 8080)
    inside = ("203.0.113.10", 40000, craft.NGINX, 80)
    wire.send(30, outside, REQUEST, "uplink", "br", rewritten=inside)
    exchanges = find_exchanges(wire.sightings, REQUEST_ID, name_of)
    found = rewrites(exchanges, replace(SENT, ends=outside))
    assert [(rewrite.after, rewrite.until) for rewrite in found] == [("uplink", "br")]


def test_all_ends_include_those_between_dnat_and_snat():
    ends = all_ends(find_exchanges(whole().sightings, REQUEST_ID, name_of), SENT)
    assert {CLIENT, EDGE, (*CLIENT[:2], *EDGE[2:]), back(EDGE)} <= ends

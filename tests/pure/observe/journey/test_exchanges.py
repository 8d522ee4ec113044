"""The exchanges of a request are found by its id, or by their time."""

from __future__ import annotations

from tests.support import craft
from tests.support.journey_cases import (
    REQUEST,
    REQUEST_ID,
    RESPONSE,
    Wire,
    back,
    name_of,
    whole,
)
from twinstack.observe.journey.exchanges import find_exchanges


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

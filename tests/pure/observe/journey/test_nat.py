"""NAT's rewrites are read from what the links saw, from the client's socket on."""

from __future__ import annotations

from dataclasses import replace

from tests.support import craft
from tests.support.journey_cases import (
    CLIENT,
    EDGE,
    REQUEST,
    REQUEST_ID,
    SENT,
    Wire,
    back,
    name_of,
    whole,
)
from twinstack.observe.journey.exchanges import find_exchanges
from twinstack.observe.journey.nat import all_ends, rewrites


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

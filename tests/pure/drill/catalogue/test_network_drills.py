"""The drills of the network: what they may do, and what their helpers write."""

from __future__ import annotations

import string

import pytest

from tests.support.core_cases import planned
from twinstack.compose.world import DockerWorld
from twinstack.drill.catalogue import addresses, conntrack, links, nat, overlay, routes, rules
from twinstack.drill.catalogue.commands import mac, without
from twinstack.drill.drill import Drill
from twinstack.drill.overlay_site import SpreadPlace
from twinstack.drill.site import Place
from twinstack.model import names

HERE = (
    *links.DRILLS,
    *addresses.DRILLS,
    *routes.DRILLS,
    *nat.DRILLS,
    *rules.DRILLS,
    *conntrack.DRILLS,
)
EVERY = (*HERE, *overlay.DRILLS)
PLAN = planned("tiered")


@pytest.mark.parametrize("drill", overlay.DRILLS, ids=lambda drill: drill.name)
def test_what_an_overlays_drill_names_in_braces_is_there(drill: Drill):
    replicas = {replica.name for replica in PLAN.replicas}
    commands = (*drill.probes, *drill.put, *drill.repair, *drill.undo, *drill.wrong)
    for text in (drill.symptom, drill.explanation, *drill.hints, *commands):
        fields = [field for _, field, _, _ in string.Formatter().parse(text) if field is not None]
        for name, _, attribute in (field.partition(".") for field in fields):
            assert name in replicas
            assert hasattr(SpreadPlace, attribute)


@pytest.mark.parametrize("drill", EVERY, ids=lambda drill: drill.name)
def test_a_drill_of_the_network_never_flushes_what_it_did_not_put(drill: Drill):
    for command in (*drill.put, *drill.repair, *drill.undo, *drill.wrong):
        assert "iptables -F" not in command
        assert "iptables -t" not in command or " -F" not in command
        assert "-P FORWARD" not in command
        assert "conntrack -F" not in command


def test_the_levels_are_about_as_many_each():
    counts = [sum(drill.level == level for drill in EVERY) for level in (1, 2, 3, 4)]
    assert min(counts) >= 7
    assert max(counts) - min(counts) <= 3


def test_a_rule_is_taken_out_as_often_as_it_is_there():
    rule = "iptables -t raw -I PREROUTING -s 10.0.0.40 -j DROP"
    taken_out = "while iptables -t raw -D PREROUTING -s 10.0.0.40 -j DROP 2>/dev/null; do :; done"
    assert without(rule) == taken_out


def test_a_mac_address_is_asked_of_the_link_by_the_shell():
    enter = "nsenter --net=/run/netns/api-gateway"
    look = mac("x").format(x=type("X", (), {"enter": enter, "link": "eth0"}))
    assert look == f"$({enter} ip -br link show dev eth0 | awk '{{print $3}}')"


def test_a_place_gives_what_a_command_needs_of_its_network():
    place = Place(DockerWorld(PLAN), "order-service")
    assert (place["postgres-db"].prefix, place["postgres-db"].unused) == (24, "172.30.3.254")
    assert place.askers == names.chain(PLAN.instance, "TO-order-service", "docker")
    assert Place(DockerWorld(PLAN), "nginx-lb").published == 8088

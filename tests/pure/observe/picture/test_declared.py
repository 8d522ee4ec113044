"""A plan declares an item for everything that is drawn, and flows by service."""

from __future__ import annotations

from dataclasses import replace

from tests.support.topology_cases import FLAT, TIERED
from twinstack.observe.picture.declared import MOST_JUDGED, declared, judged


def test_a_container_has_a_link_for_each_network_and_a_namespace_has_one():
    links = {
        world: [one.name for one in declared(TIERED, world) if one.kind == "link"]
        for world in ("net", "docker")
    }
    assert [name for name in links["net"] if "api-gateway" in name] == ["api-gateway@frontend"]
    assert [name for name in links["docker"] if "api-gateway" in name] == [
        "api-gateway@frontend",
        "api-gateway@backend",
    ]


def test_a_large_world_is_judged_by_the_first_replica_of_each_service():
    copies = MOST_JUDGED // len(FLAT.replicas) + 1
    many = replace(FLAT, replicas=FLAT.replicas * copies)
    destinations = {cell.destination for cell in judged(many, "net")} - {"host", "outside"}
    assert destinations == {FLAT.replicas_of(one.service)[0].name for one in FLAT.replicas}

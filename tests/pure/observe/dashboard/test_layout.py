"""The map holds every replica and flow within the width of a phone."""

from __future__ import annotations

import pytest

from tests.support.bench_fakes import TOPOLOGY
from twinstack.model.plan import resolve
from twinstack.observe.dashboard.layout import WIDTH, broken, topology_map


@pytest.mark.parametrize("shape", ["flat", "tiered"])
def test_the_map_holds_every_replica_within_its_width(shape: str):
    plan = resolve(TOPOLOGY, shape)
    drawn = topology_map(plan)
    names = [node.name for node in drawn.nodes]
    assert names[0] == "world"
    assert set(names[1:]) == {replica.name for replica in plan.replicas}
    for node in drawn.nodes:
        assert 0 <= node.x <= WIDTH - node.width
        assert node.bottom <= drawn.height
    corners = {(node.x, node.y) for node in drawn.nodes}
    assert len(corners) == len(names)
    pairs = {(edge.source, edge.destination) for edge in drawn.edges}
    assert pairs >= {
        ("world", "nginx-lb"),
        ("nginx-lb", "api-gateway"),
        ("api-gateway", "product-service-3"),
        ("order-service", "redis-cache"),
    }
    assert ("nginx-lb", "redis-cache") not in pairs


def test_rows_go_from_the_clients_to_the_stores():
    nodes = topology_map(resolve(TOPOLOGY, "flat")).nodes
    heights = {node.name: node.y for node in nodes}
    rows = (
        {"world"},
        {"nginx-lb"},
        {"api-gateway"},
        {"product-service", "order-service"},
        {"redis-cache", "postgres-db", "service-registry"},
    )
    drawn = [{heights[name] for name in row} for row in rows]
    assert [len(row) for row in drawn] == [1] * len(rows)
    assert drawn == sorted(drawn, key=min)


def test_a_flow_within_a_row_is_drawn_below_it():
    drawn = topology_map(resolve(TOPOLOGY, "flat"))
    nodes = {node.name: node for node in drawn.nodes}
    path = next(
        edge.path
        for edge in drawn.edges
        if (edge.source, edge.destination) == ("order-service", "product-service")
    )
    heights = [float(word) for word in path.replace("C", " ").split()[1::2]]
    assert min(heights) == nodes["order-service"].bottom == nodes["product-service"].bottom
    assert max(heights) > min(heights)


def test_long_names_are_broken_near_their_middle():
    assert broken("nginx-lb") == ("nginx-lb",)
    assert broken("product-service-2") == ("product-", "service-2")

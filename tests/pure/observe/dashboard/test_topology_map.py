"""The map fits the width of a phone; no line passes behind a box, however many there are."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support.bench_fakes import TOPOLOGY
from tests.support.core_cases import edited_plan
from twinstack.model.plan import resolve
from twinstack.observe.dashboard.topology_map import (
    WIDTH,
    MapEdge,
    TopologyMap,
    broken,
    topology_map,
)


def scaled(count: int) -> TopologyMap:
    return topology_map(
        edited_plan(
            lambda d: (
                d["services"]["product-service"].update(replicas=count),
                d["services"]["api-gateway"].update(replicas=max(count // 3, 1)),
            )
        )
    )


def points(edge: MapEdge) -> Iterator[tuple[float, float]]:
    """Give points of a line, twenty of each of its curves."""
    x0 = y0 = 0.0
    for letter, words in re.findall(r"([MLC])([^MLC]*)", edge.path):
        numbers = [float(word) for word in words.split()]
        if letter == "C":
            x1, y1, x2, y2, x3, y3 = numbers
            for part in (step / 20 for step in range(21)):
                rest = 1 - part
                weights = rest**3, 3 * rest**2 * part, 3 * rest * part**2, part**3
                yield (
                    sum(w * x for w, x in zip(weights, (x0, x1, x2, x3), strict=True)),
                    sum(w * y for w, y in zip(weights, (y0, y1, y2, y3), strict=True)),
                )
        elif letter == "L":
            yield from (
                (x0 + (numbers[0] - x0) * s / 20, y0 + (numbers[1] - y0) * s / 20)
                for s in range(21)
            )
        x0, y0 = numbers[-2:]


@pytest.mark.parametrize("count", [1, 3, 6, 14])
def test_no_line_passes_behind_a_box_or_leaves_the_drawing(count: int):
    drawn = scaled(count)
    assert len(drawn.edges) > 3 * count
    for edge in drawn.edges:
        for x, y in points(edge):
            assert 0 <= x <= WIDTH
            assert 0 <= y <= drawn.height
            behind = [
                node.name
                for node in drawn.nodes
                if node.x < x < node.x + node.width and node.y < y < node.bottom
            ]
            assert behind == [], (edge.source, edge.destination)


@pytest.mark.parametrize("count", [3, 14])
def test_no_two_lines_end_at_one_point(count: int):
    ends = [
        end
        for edge in scaled(count).edges
        for end in (edge.path.split("C")[0], edge.path.rsplit(" ", 2)[1:])
    ]
    assert len({str(end) for end in ends}) == len(ends)


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

"""The topology as a picture that the page keeps up to date: laid out here, once; pure.

Rows from the client downwards, at most four nodes beside each other, so that a phone shows it
whole. Each node and each counted edge has an id that says which it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twinstack.model.plan import Plan, Replica
from twinstack.observe.live.documents import EDGE, GATEWAY

WIDTH = 400
CLIENT = "world"
_ACROSS = 4
_NODE_WIDTH, _NODE_HEIGHT = 90, 50
_ROW_HEIGHT, _TOP = 92, 8
_STORES = frozenset({"redis", "postgres"})


@dataclass(frozen=True, slots=True)
class Node:
    """A box. Units: the picture's own; `x`, `y` are its upper left corner.

    `lines` is its name, broken; `counted` whether requests into it are counted.
    """

    name: str
    lines: tuple[str, ...]
    x: float
    y: float
    counted: bool
    width: int = _NODE_WIDTH
    height: int = _NODE_HEIGHT

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True, slots=True)
class Line:
    """A flow between two boxes, drawn as a curve."""

    source: str
    destination: str
    path: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes and curves, and how high all of it is."""

    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]
    height: int
    width: int = WIDTH


def picture(plan: Plan) -> Picture:
    """Lay out a plan."""
    nodes = tuple(_nodes(plan))
    places = {node.name: node for node in nodes}
    height = max(node.y + node.height for node in nodes) + 8
    return Picture(nodes, tuple(_lines(plan, places)), round(height))


def _rows(plan: Plan) -> Iterator[Sequence[Replica]]:
    """Put the door first, then the gateway, then what it asks, then what that needs."""
    first = plan.replicas_of(EDGE)
    second = plan.replicas_of(GATEWAY)
    asked = {flow.destination for flow in plan.flows if flow.source == GATEWAY}
    rest = [one for one in plan.replicas if one not in first and one not in second]
    inner = [
        one
        for one in rest
        if one.service in asked and one.runtime not in _STORES and one.service != "service-registry"
    ]
    last = [one for one in rest if one not in inner]
    for row in (first, second, inner, last):
        for start in range(0, len(row), _ACROSS):
            yield row[start : start + _ACROSS]


def _nodes(plan: Plan) -> Iterator[Node]:
    yield Node(CLIENT, ("clients",), (WIDTH - _NODE_WIDTH) / 2, _TOP, False, height=26)
    y = _TOP + 66
    for row in _rows(plan):
        gap = (WIDTH - len(row) * _NODE_WIDTH) / (len(row) + 1)
        for place, replica in enumerate(row):
            x = gap + place * (_NODE_WIDTH + gap)
            yield Node(replica.name, broken(replica.name), x, y, True)
        y += _ROW_HEIGHT


def broken(name: str) -> tuple[str, ...]:
    """Break a name in two at the hyphen that is nearest its middle, when it is long."""
    if len(name) <= 12 or "-" not in name:
        return (name,)
    places = [place for place, letter in enumerate(name) if letter == "-"]
    best = min(places, key=lambda place: abs(place - len(name) / 2))
    return name[: best + 1], name[best + 1 :]


def _lines(plan: Plan, places: dict[str, Node]) -> Iterator[Line]:
    for flow in plan.flows:
        sources = (
            [CLIENT]
            if flow.source == "world"
            else [one.name for one in plan.replicas_of(flow.source)]
        )
        for source in sources:
            for target in plan.replicas_of(flow.destination):
                path = _curve(places[source], places[target.name])
                yield Line(source, target.name, path)


def _curve(source: Node, target: Node) -> str:
    if source.y == target.y:  # beside each other: under both
        y = source.y + source.height
        return (
            f"M{source.middle:.0f} {y:.0f}C{source.middle:.0f} {y + 22:.0f} "
            f"{target.middle:.0f} {y + 22:.0f} {target.middle:.0f} {y:.0f}"
        )
    start, end = source.y + source.height, target.y
    bend = (end - start) * 0.5
    return (
        f"M{source.middle:.0f} {start:.0f}C{source.middle:.0f} {start + bend:.0f} "
        f"{target.middle:.0f} {end - bend:.0f} {target.middle:.0f} {end:.0f}"
    )

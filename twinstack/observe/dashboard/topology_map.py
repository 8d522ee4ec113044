"""The map of a world: boxes in rows, and lines between them that pass behind no box. Pure.

Rows go from the clients downwards, at most four boxes in each, so that a phone shows the whole
width. A line leaves its source below and arrives above its target. A row between the two is crossed
through a gap between boxes. Lines that share the side of a box or a gap get places side by side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from twinstack.model.plan import Plan, Replica
from twinstack.observe.live.model import EDGE, GATEWAY, REGISTRY
from twinstack.observe.svg import Box, curve

WIDTH = 400
CLIENT = "world"
_ACROSS = 4
_NODE_WIDTH, _NODE_HEIGHT, _CLIENT_HEIGHT = 84, 76, 26
_TOP, _CLIENT_GAP, _ROW_GAP = 8, 24, 46
_LEAVES = frozenset({"redis", "postgres"})  # runtimes drawn in the last row, with the registry
#: Of a name in one line; a longer line is squeezed.
_LINE_LETTERS = 9


@dataclass(frozen=True, slots=True)
class MapNode(Box):
    """A box of the map: the clients, or a replica."""

    name: str = ""
    lines: tuple[str, ...] = ()  # its name, broken to fit
    row: int = 0

    def squeezed(self, line: str) -> int | None:
        """Give the width into which a long line must be squeezed; None if it fits."""
        return round(self.width - 10) if len(line) > _LINE_LETTERS else None


@dataclass(frozen=True, slots=True)
class MapEdge:
    """A flow between two boxes; `path` is its curve's path data."""

    source: str
    destination: str
    path: str


@dataclass(frozen=True, slots=True)
class TopologyMap:
    """The drawing; the first node is the clients."""

    nodes: tuple[MapNode, ...]
    edges: tuple[MapEdge, ...]
    height: int
    width: int = WIDTH


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where lines pass: the lower or upper side of a box, or the gap between two boxes."""

    left: float
    right: float
    top: float
    bottom: float

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2


def topology_map(plan: Plan) -> TopologyMap:
    """Lay out a plan."""
    nodes = {node.name: node for node in _nodes(plan)}
    edges = tuple(_edges(plan, nodes))
    height = max(node.bottom for node in nodes.values())
    if any(nodes[edge.source].bottom == nodes[edge.destination].bottom == height for edge in edges):
        height += _ROW_GAP / 2  # lines within the last row are below it
    return TopologyMap(tuple(nodes.values()), edges, round(height) + 8)


def _rows(plan: Plan) -> Iterator[Sequence[Replica]]:
    """Order replicas: the edge, the gateway, the services behind it, what those need."""
    called = {flow.destination for flow in plan.flows if flow.source == GATEWAY} - {REGISTRY}
    rows: list[list[Replica]] = [[], [], [], []]
    for replica in plan.replicas:
        if replica.service in {EDGE, GATEWAY}:
            rows[replica.service == GATEWAY].append(replica)
        else:
            leaf = replica.service not in called or replica.runtime in _LEAVES
            rows[3 if leaf else 2].append(replica)
    for row in rows:
        for start in range(0, len(row), _ACROSS):
            yield row[start : start + _ACROSS]


def _nodes(plan: Plan) -> Iterator[MapNode]:
    x = (WIDTH - _NODE_WIDTH) / 2
    yield MapNode(x, _TOP, _NODE_WIDTH, _CLIENT_HEIGHT, CLIENT, ("clients",))
    y: float = _TOP + _CLIENT_HEIGHT + _CLIENT_GAP
    for number, row in enumerate(_rows(plan), start=1):
        gap = (WIDTH - len(row) * _NODE_WIDTH) / (len(row) + 1)
        for column, replica in enumerate(row):
            x = gap + column * (_NODE_WIDTH + gap)
            lines = broken(replica.name)
            yield MapNode(x, y, _NODE_WIDTH, _NODE_HEIGHT, replica.name, lines, number)
        y += _NODE_HEIGHT + _ROW_GAP


def broken(name: str) -> tuple[str, ...]:
    """Break a long name at the hyphen nearest its middle."""
    hyphens = [place for place, letter in enumerate(name) if letter == "-"]
    if len(name) <= _LINE_LETTERS or not hyphens:
        return (name,)
    best = min(hyphens, key=lambda place: abs(place - len(name) / 2))
    return name[: best + 1], name[best + 1 :]


def _edges(plan: Plan, nodes: Mapping[str, MapNode]) -> Iterator[MapEdge]:
    gaps = _gaps(nodes.values())
    pairs = [
        (source, target.name)
        for flow in plan.flows
        for source in ([CLIENT] if flow.source == CLIENT else _names(plan, flow.source))
        for target in plan.replicas_of(flow.destination)
        if source != target.name
    ]
    routes = [_route(nodes[source], nodes[target], gaps) for source, target in pairs]
    places = _places(routes)
    for number, (source, target) in enumerate(pairs):
        yield MapEdge(source, target, _path(routes[number], places[number]))


def _names(plan: Plan, service: str) -> list[str]:
    return [replica.name for replica in plan.replicas_of(service)]


def _gaps(nodes: Iterable[MapNode]) -> dict[int, list[_Slot]]:
    """Give the gaps of each row, from the left margin to the right one."""
    rows: defaultdict[int, list[MapNode]] = defaultdict(list)
    for node in nodes:
        rows[node.row].append(node)
    found = {}
    for number, row in rows.items():
        lefts = [0.0, *(node.x + node.width for node in row)]
        rights = [*(node.x for node in row), float(WIDTH)]
        pairs = zip(lefts, rights, strict=True)
        found[number] = [_Slot(left, right, row[0].y, row[0].bottom) for left, right in pairs]
    return found


def _route(source: MapNode, target: MapNode, gaps: Mapping[int, list[_Slot]]) -> list[_Slot]:
    """List what a line passes, downwards: a side, gaps, a side; two lower sides within a row."""
    upper, lower = (source, target) if source.row <= target.row else (target, source)
    start = _Slot(upper.x, upper.x + upper.width, upper.bottom, upper.bottom)
    end_y = lower.bottom if lower.row == upper.row else lower.y
    end = _Slot(lower.x, lower.x + lower.width, end_y, end_y)
    route = [start]
    for row in range(upper.row + 1, lower.row):
        part = (row - upper.row) / (lower.row - upper.row)
        straight = upper.middle + part * (lower.middle - upper.middle)
        route.append(min(gaps[row], key=lambda gap: abs(gap.middle - straight)))
    return [*route, end]


def _places(routes: Sequence[Sequence[_Slot]]) -> list[list[float]]:
    """Give the x of each route in each of its slots: side by side, in the order of where they go.

    Then lines that leave one box do not cross each other.
    """
    users: defaultdict[_Slot, list[tuple[float, int, int]]] = defaultdict(list)
    for number, route in enumerate(routes):
        for stop, slot in enumerate(route):
            others = [other.middle for other in route[max(stop - 1, 0) : stop + 2] if other != slot]
            users[slot].append((sum(others) / len(others), number, stop))
    places = [[0.0] * len(route) for route in routes]
    for slot, lines in users.items():
        step = (slot.right - slot.left) / (len(lines) + 1)
        for place, (_, number, stop) in enumerate(sorted(lines), start=1):
            places[number][stop] = slot.left + place * step
    return places


def _path(route: Sequence[_Slot], places: Sequence[float]) -> str:
    """Write path data: curves between the rows, straight through a gap."""
    parts = []
    for (upper, x1), (lower, x2) in pairwise(zip(route, places, strict=True)):
        # Within a row the curve is below both: three quarters of the way to its control points.
        bend = upper.bottom + _ROW_GAP / 2 if upper.bottom == lower.top else None
        parts.append(curve(x1, upper.bottom, x2, lower.top, bend))
    return "".join(part.replace("M", "L") if place else part for place, part in enumerate(parts))

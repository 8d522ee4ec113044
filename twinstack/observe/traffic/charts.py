"""The charts of a traffic page as numbers for its template: what goes where. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from twinstack.observe.traffic.peers import UNDECLARED
from twinstack.observe.traffic.report import TrafficReport
from twinstack.observe.traffic.tables import size

_MOST_NODES = 14
_WIDTH, _HEIGHT, _RADIUS = 720.0, 460.0, 170.0
_TALL = 100.0


@dataclass(frozen=True, slots=True)
class Node:
    """A service in the ring; `anchor` is SVG's text-anchor of its name."""

    name: str
    x: float
    y: float
    text_x: float
    text_y: float
    anchor: str
    radius: float


@dataclass(frozen=True, slots=True)
class Edge:
    """Traffic between two nodes as a curve; `width` by the bytes, on a scale of logarithms."""

    path: str
    width: float
    bad: bool
    says: str


@dataclass(frozen=True, slots=True)
class Ring:
    """Who talked to whom."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Bytes over time, as an area in a box of `width` by `height`."""

    width: float
    height: float
    path: str
    most: str
    until: str
    step: str


def ring(found: TrafficReport) -> Ring:
    """Place the services that exchanged most on a ring, and draw what they exchanged."""
    totals: Counter[str] = Counter()
    lines: dict[tuple[str, str], tuple[int, bool]] = {}
    for pair in found.pairs:
        totals[pair.client] += pair.bytes
        totals[pair.server] += pair.bytes
        before = lines.get((pair.client, pair.server), (0, False))
        bad = pair.verdict == UNDECLARED
        lines[pair.client, pair.server] = before[0] + pair.bytes, before[1] or bad
    chosen = sorted(name for name, _ in totals.most_common(_MOST_NODES))
    most = max(totals.values(), default=1) or 1
    nodes = {
        name: _node(name, number, len(chosen), totals[name] / most)
        for number, name in enumerate(chosen)
    }
    largest = max((count for count, _ in lines.values()), default=1)
    edges = [
        Edge(
            _curve(nodes[client], nodes[server]),
            _thick(count, largest),
            bad,
            f"{client} → {server}: {size(count)}",
        )
        for (client, server), (count, bad) in sorted(lines.items(), key=lambda one: one[1][1])
        if client in nodes and server in nodes
    ]
    return Ring(_WIDTH, _HEIGHT, tuple(nodes.values()), tuple(edges), len(totals) - len(chosen))


def curve(found: TrafficReport) -> Curve | None:
    """Draw bytes over time; None when there is no time to speak of."""
    moments = found.moments
    if len(moments) < 2:
        return None
    most = max(one.bytes for one in moments) or 1
    points = []
    for number, one in enumerate(moments):
        height = _TALL - one.bytes / most * _TALL
        points += [f"{number},{height:.2f}", f"{number + 1},{height:.2f}"]
    path = f"M0,{_TALL:.0f} L" + " ".join(points) + f" L{len(moments)},{_TALL:.0f} Z"
    rate = size(round(most / found.step_s)) + "/s"
    return Curve(
        len(moments), _TALL, path, rate, f"{len(moments) * found.step_s:g} s", f"{found.step_s:g} s"
    )


def _node(name: str, number: int, count: int, part: float) -> Node:
    angle = 2 * math.pi * number / max(count, 1) - math.pi / 2
    x = _WIDTH / 2 + _RADIUS * math.cos(angle)
    y = _HEIGHT / 2 + _RADIUS * math.sin(angle)
    radius = 6 + 12 * math.sqrt(part)
    side = math.cos(angle)
    anchor = "middle" if abs(side) < 0.2 else "start" if side > 0 else "end"
    away = radius + 8
    return Node(
        name,
        round(x, 1),
        round(y, 1),
        round(x + away * side, 1),
        round(y + away * math.sin(angle) + 5, 1),
        anchor,
        round(radius, 1),
    )


def _curve(one: Node, other: Node) -> str:
    if one is other:
        return f"M{one.x},{one.y} c-40,-60 40,-60 0.1,0"
    middle_x, middle_y = _WIDTH / 2, _HEIGHT / 2
    # Bent towards the middle; there and back bend apart, so that both are seen.
    shift_x, shift_y = (one.y - other.y) * 0.12, (other.x - one.x) * 0.12
    bend_x = (one.x + other.x) / 4 + middle_x / 2 + shift_x
    bend_y = (one.y + other.y) / 4 + middle_y / 2 + shift_y
    return f"M{one.x},{one.y} Q{bend_x:.1f},{bend_y:.1f} {other.x},{other.y}"


def _thick(count: int, largest: int) -> float:
    return round(1 + 7 * math.log1p(count) / math.log1p(largest), 2) if largest else 1.0

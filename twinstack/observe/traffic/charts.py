"""The charts of a traffic page as SVG: who talks to whom, and bytes over time. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from twinstack.observe.svg import element, text, tooltip
from twinstack.observe.traffic.report import TrafficReport
from twinstack.observe.units import size

_MAX_SERVICES = 14
_WIDTH, _HEIGHT, _RADIUS = 720, 460, 170
_TIMELINE_HEIGHT = 100


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, and the parts of its caption."""

    svg: str
    caption: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Spot:
    """A service on the ring: its centre, the direction from the ring's centre, and its size."""

    x: float
    y: float
    angle: float
    radius: float


def ring(report: TrafficReport) -> Chart | None:
    """Place the services that exchanged most on a ring, joined where they exchanged packets."""
    totals: Counter[str] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    for pair in report.pairs:
        totals.update({pair.client: pair.bytes})
        totals.update({pair.server: pair.bytes})
        sizes[pair.client, pair.server] += pair.bytes
    undeclared = {(pair.client, pair.server) for pair in report.undeclared}
    chosen = sorted(name for name, _ in totals.most_common(_MAX_SERVICES))
    most = max(totals.values(), default=1) or 1
    spots = {
        name: _spot(number / len(chosen), totals[name] / most) for number, name in enumerate(chosen)
    }
    edges = [
        _edge(
            spots[client],
            spots[server],
            width=1 + 7 * math.log1p(count) / math.log1p(max(sizes.values()) or 1),
            kind="bad" if (client, server) in undeclared else "",
            words=f"{client} → {server}: {size(count)}",
        )
        for (client, server), count in sorted(sizes.items(), key=lambda item: item[1])
        if client in spots and server in spots
    ]
    if not edges:
        return None
    caption = "The thicker, the more bytes (by logarithm). Red and dashed: not declared."
    if left_out := len(totals) - len(chosen):
        caption += f" {left_out} that exchanged least are left out."
    drawing = element(
        "svg",
        "\n".join([*edges, *(part for name in chosen for part in _service(name, spots[name]))]),
        kind="ring",
        role="img",
        aria_label="Services in a ring, joined where they exchanged packets",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
    )
    return Chart(drawing, (caption,))


def timeline(report: TrafficReport) -> Chart | None:
    """Draw bytes over time; None for less than two steps."""
    steps = report.moments
    if len(steps) < 2:
        return None
    most = max(step.bytes for step in steps) or 1
    points = []
    for number, step in enumerate(steps):
        height = _TIMELINE_HEIGHT * (1 - step.bytes / most)
        points += [f"{number},{height:.2f}", f"{number + 1},{height:.2f}"]
    rate = f"at most {size(round(most / report.step_s))}/s"
    data = f"M0,{_TIMELINE_HEIGHT} L{' '.join(points)} L{len(steps)},{_TIMELINE_HEIGHT} Z"
    drawing = element(
        "svg",
        element("path", d=data),
        kind="curve",
        role="img",
        aria_label=f"Bytes over time, {rate}",
        viewBox=f"0 0 {len(steps)} {_TIMELINE_HEIGHT}",
        preserveAspectRatio="none",
    )
    middle = f"{rate}, in steps of {report.step_s:g} s"
    return Chart(drawing, ("0 s", middle, f"{len(steps) * report.step_s:g} s"))


def _spot(turn: float, part: float) -> _Spot:
    angle = 2 * math.pi * turn - math.pi / 2
    x, y = _WIDTH / 2 + _RADIUS * math.cos(angle), _HEIGHT / 2 + _RADIUS * math.sin(angle)
    return _Spot(x, y, angle, 6 + 12 * math.sqrt(part))


def _service(name: str, spot: _Spot) -> tuple[str, str]:
    side, distance = math.cos(spot.angle), spot.radius + 8
    anchor = "middle" if abs(side) < 0.2 else "start" if side > 0 else "end"
    x, y = spot.x + distance * side, spot.y + distance * math.sin(spot.angle) + 5
    return element("circle", cx=spot.x, cy=spot.y, r=spot.radius), text(x, y, name, anchor=anchor)


def _edge(client: _Spot, server: _Spot, width: float, kind: str, words: str) -> str:
    begin = f"M{client.x:.1f},{client.y:.1f}"
    if client is server:
        data = f"{begin} c-40,-60 40,-60 0.1,0"
    else:  # bent towards the centre; there and back bend apart, so that both are visible
        x = (client.x + server.x + _WIDTH) / 4 + (client.y - server.y) * 0.12
        y = (client.y + server.y + _HEIGHT) / 4 + (server.x - client.x) * 0.12
        data = f"{begin} Q{x:.1f},{y:.1f} {server.x:.1f},{server.y:.1f}"
    return element("path", tooltip(words), kind=kind, d=data, stroke_width=width)

"""A traffic report as one HTML file that needs nothing else: no script, no network; its charts."""

from __future__ import annotations

import cmath
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from twinstack.observe.svg import element, text, tooltip
from twinstack.observe.table import size
from twinstack.observe.traffic.report import TrafficReport
from twinstack.observe.traffic.sections import headline, sections
from twinstack.software.configs import templates_in

TEMPLATE = "traffic.html.j2"
#: Shown of a table; the JSON document has all.
MAX_ROWS = 200
_MAX_SERVICES = 14
_WIDTH, _HEIGHT, _RADIUS = 720, 460, 170
_CENTRE = complex(_WIDTH, _HEIGHT) / 2  # points are complex numbers
_TIMELINE_HEIGHT = 100


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, and the parts of its caption."""

    svg: str
    caption: tuple[str, ...]


def ring(report: TrafficReport) -> Chart | None:
    """Place the services that exchanged most on a ring, joined where they exchanged packets."""
    totals: Counter[str] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    for pair in report.pairs:
        totals.update({pair.client: pair.bytes})
        totals.update({pair.server: pair.bytes})
        sizes[pair.client, pair.server] += pair.bytes
    if not sizes:
        return None
    undeclared = {(pair.client, pair.server) for pair in report.undeclared}
    chosen = sorted(name for name, _ in totals.most_common(_MAX_SERVICES))
    turns = {name: 2j * math.pi * number / len(chosen) for number, name in enumerate(chosen)}
    directions = {
        name: -1j * cmath.exp(turn) for name, turn in turns.items()
    }  # the first is on top
    parts = []
    for (client, server), count in sorted(sizes.items(), key=lambda item: item[1]):
        if client in directions and server in directions:
            data = _edge(*(_CENTRE + _RADIUS * directions[name] for name in (client, server)))
            width = 1 + 7 * math.log1p(count) / math.log1p(max(sizes.values()) or 1)
            kind = "bad" if (client, server) in undeclared else ""
            title = tooltip(f"{client} → {server}: {size(count)}")
            parts.append(element("path", title, kind=kind, d=data, stroke_width=width))
    for name, direction in directions.items():
        radius = 6 + 12 * math.sqrt(totals[name] / (max(totals.values()) or 1))
        spot = _CENTRE + _RADIUS * direction
        label = spot + (radius + 8) * direction
        side = direction.real
        anchor = "middle" if abs(side) < 0.2 else "start" if side > 0 else "end"
        parts.append(element("circle", cx=spot.real, cy=spot.imag, r=radius))
        parts.append(text(label.real, label.imag + 5, name, anchor=anchor))
    caption = "The thicker, the more bytes (by logarithm). Red and dashed: not declared."
    if left_out := len(totals) - len(chosen):
        caption += f" {left_out} that exchanged least are left out."
    drawing = element(
        "svg",
        "\n".join(parts),
        kind="ring",
        role="img",
        aria_label="Services in a ring, joined where they exchanged packets",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
    )
    return Chart(drawing, (caption,))


def _edge(client: complex, server: complex) -> str:
    if client == server:
        return f"M{_point(client)} c-40,-60 40,-60 0.1,0"
    # Bent towards the centre; there and back bend apart, so that both are visible.
    bend = (client + server) / 4 + _CENTRE / 2 - 0.12j * (client - server)
    return f"M{_point(client)} Q{_point(bend)} {_point(server)}"


def _point(point: complex) -> str:
    return f"{point.real:.1f},{point.imag:.1f}"


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


def page(report: TrafficReport, templates: Path) -> str:
    """Write the page. `templates` is the folder that holds its template."""
    template = templates_in(templates, html=True).get_template(TEMPLATE)
    return template.render(
        report=report,
        headline=headline(report),
        sections=sections(report),
        max_rows=MAX_ROWS,
        ring=ring(report),
        timeline=timeline(report),
        size=size,
    )

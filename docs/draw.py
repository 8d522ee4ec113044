"""Draw the pictures of these pages from the Plan, and of what is rendered from it.

`.venv/bin/python -m docs.draw` writes docs/*.svg.

`services` shows the flows between services and the published ports, `wiring` the bridges and what
is attached to them; `docs/tables.py` draws the rest. Nothing is placed by hand: a topology that
changes changes its pictures. Colours follow the reader's light or dark scheme. Pure but for
`pictures`, which asks the CIS gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from docs import tables
from twinstack.cis.tools import examine
from twinstack.model.plan import Plan, Replica, resolve
from twinstack.model.topology_file import load
from twinstack.observe.svg import (
    BOX_HEIGHT,
    BOX_WIDTH,
    MARGIN,
    WIDTH,
    Box,
    arrow,
    curve,
    document,
    line,
    rect,
    text,
    text_in,
)

HERE = Path(__file__).parent
BAND_HEIGHT, PORTS_HEIGHT = 142, 84
LEGEND_HEIGHT = 26


def services(flat: Plan, tiered: Plan) -> str:
    """Draw each service in its tier, the flows between them, and the published ports."""
    boxes = _service_boxes(tiered)
    tops = {one: PORTS_HEIGHT + row * BAND_HEIGHT for row, one in enumerate(tiered.segments)}
    inner = Box(MARGIN, 0, WIDTH - 2 * MARGIN, BAND_HEIGHT - 14)
    parts = [rect(replace(inner, y=top), "band") for top in tops.values()]
    for name, box in boxes.items():
        ours = flat.replicas_of(name)
        many = f" × {len(ours)}" if len(ours) > 1 else ""
        parts += [
            rect(Box(box.x + 4 * back, box.y - 4 * back), "box")
            for back in range(min(len(ours), 3) - 1, -1, -1)
        ]
        parts += text_in(
            box,
            [name + many, f"{ours[0].runtime}, port {ours[0].port}", f"flat {_addresses(ours)}"],
        )
    parts += [_arrow(boxes, flow, number) for number, flow in enumerate(_flows(tiered, boxes))]
    for name, ports in groupby(tiered.published_ports, lambda port: port.replica):
        ways = [f"{port.bind}:{port.port} ({port.world})" for port in ports]
        if name in boxes:
            parts += _published_port(boxes[name], ways)
    height = PORTS_HEIGHT + len(tiered.segments) * BAND_HEIGHT + LEGEND_HEIGHT
    parts += [
        text(MARGIN + 10, top + 18, f"{one.name}: {one.bridge} {one.subnet}", "dim title")
        for one, top in tops.items()
    ]
    parts.append(
        text(
            MARGIN,
            height - 14,
            "Bands: the tiers of the tiered shape. In the flat shape all share one bridge; "
            "the last part of an address stays.",
            "dim",
        )
    )
    return document(parts, f"{len(boxes)} services, {len(tiered.flows)} flows", height)


def wiring(plan: Plan) -> str:
    """Draw the host, its bridges, and every namespace that hangs on them by a veth pair."""
    parts, top = [], PORTS_HEIGHT - 34
    ways = [
        f"port {port.port} → {port.replica}" for port in plan.published_ports if port.world == "net"
    ]
    host = "; ".join(["the host: " + ", ".join(ways), "MASQUERADE out", "routes between bridges"])
    parts += [
        rect(Box(MARGIN, 12, WIDTH - 2 * MARGIN, 26), "port"),
        text(MARGIN + 10, 29, host, "name"),
    ]
    for segment in plan.segments:
        members = [one for one in plan.replicas if one.segment == segment.name]
        rows = [members[start : start + 5] for start in range(0, len(members), 5)]
        for number, row in enumerate(rows):
            rail = top + 24
            parts.append(line(MARGIN, rail, WIDTH - MARGIN, rail, "bridge"))
            if number == 0:
                address = f"{segment.gateway}/{segment.subnet.prefixlen}"
                parts.append(text(MARGIN, rail - 8, f"{segment.bridge} {address}", "name"))
            else:  # the same bridge, carried on
                left, above = MARGIN + 2, rail - BOX_HEIGHT - 62
                parts.append(line(left, above, left, rail, "bridge"))
            parts += _hanging(row, rail)
            top = rail + BOX_HEIGHT + 38
    return document(parts, f"{len(plan.replicas)} namespaces", top)


def pictures() -> dict[str, str]:
    """Give every picture of the repository's own topology by its file's name."""
    topology = load(HERE.parent / "topology.yml")
    flat, tiered = (resolve(topology, shape) for shape in ("flat", "tiered"))
    return {
        "architecture.svg": services(flat, tiered),
        "flat.svg": wiring(flat),
        "tiered.svg": wiring(tiered),
        "policy.svg": tables.policy(flat),
        "faults.svg": tables.faults(flat),
        "docker.svg": tables.networks(tiered),
        "limits.svg": tables.replicas(flat),
        "marks.svg": tables.marks(flat),
        "placement.svg": tables.placement(topology, flat),
        "policy-cis.svg": tables.cis(examine(HERE.parent, flat, [tiered])),
    }


def main() -> None:
    """Write the pictures beside this file."""
    for name, picture in pictures().items():
        (HERE / name).write_text(picture, encoding="utf-8")


def _service_boxes(plan: Plan) -> dict[str, Box]:
    boxes = {}
    for row, segment in enumerate(plan.segments):
        names = list(
            dict.fromkeys(one.service for one in plan.replicas if one.segment == segment.name)
        )
        room = (WIDTH - 2 * MARGIN) / len(names)
        for column, name in enumerate(names):
            left = MARGIN + column * room + (room - BOX_WIDTH) / 2
            boxes[name] = Box(left, PORTS_HEIGHT + row * BAND_HEIGHT + 44)
    return boxes


def _flows(plan: Plan, boxes: dict[str, Box]) -> list[tuple[str, str]]:
    return [
        (flow.source, flow.destination)
        for flow in plan.flows
        if flow.source in boxes and flow.destination in boxes
    ]


def _arrow(boxes: dict[str, Box], flow: tuple[str, str], number: int) -> str:
    """Draw one flow: straight to a neighbour, over the heads of those between, or down."""
    one, other = (boxes[name] for name in flow)
    shift = (number % 5 - 2) * 13  # so that arrows of one box do not lie on each other
    if one.y == other.y:
        between = [
            box
            for box in boxes.values()
            if box.y == one.y and min(one.x, other.x) < box.x < max(one.x, other.x)
        ]
        right = other.x > one.x
        if not between:
            y = one.y + one.height / 2 + shift / 2
            start, end = (one.x + one.width, other.x) if right else (one.x, other.x + other.width)
            return arrow(f"M{start:.0f} {y:.0f}L{end:.0f} {y:.0f}")
        return arrow(curve(one.middle + 60, one.y, other.middle - 60, other.y, one.y - 36))
    return arrow(curve(one.middle + shift, one.bottom, other.middle + shift, other.y))


def _published_port(box: Box, ways: Sequence[str]) -> list[str]:
    pill = Box(box.x - 20, 12, box.width + 40, 16 * len(ways) + 10)
    parts = [rect(pill, "port")]
    parts += [
        text(pill.middle, pill.y + 18 + 16 * row, way, anchor="middle")
        for row, way in enumerate(ways)
    ]
    return [*parts, arrow(f"M{box.middle:.0f} {pill.bottom:.0f}V{box.y:.0f}", "flow entry")]


def _hanging(row: Sequence[Replica], rail: float) -> list[str]:
    room = (WIDTH - 2 * MARGIN) / len(row)
    parts = []
    for column, replica in enumerate(row):
        width = min(BOX_WIDTH, room - 10)
        box = Box(MARGIN + column * room + (room - width) / 2, rail + 26, width)
        parts.append(line(box.middle, rail + 3, box.middle, box.y, "wire"))
        parts.append(text(box.middle - 6, rail + 19, replica.host_link, "dim", "end"))
        parts.append(rect(box, "box"))
        parts += text_in(
            box,
            [
                replica.name,
                f"{replica.link} {replica.address}",
                f"port {replica.port}, uid {replica.user}",
            ],
        )
    return parts


def _addresses(replicas: Sequence[Replica]) -> str:
    first, *others = (str(one.address) for one in replicas)
    tails = ["." + address.rpartition(".")[2] for address in others]
    return ", ".join([first, *(tails if len(tails) < 4 else [f"… {tails[-1]}"])])


if __name__ == "__main__":
    main()

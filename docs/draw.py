"""Draw the pictures of these pages from the Plan: `python -m docs.draw` writes docs/*.svg.

`services` shows who talks to whom and by which door one comes in, `wiring` the bridges and what
hangs on them. Nothing is placed by hand: a topology that changes changes its pictures. Colours
follow the reader's light or dark scheme. Pure but for `main`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from twinstack.model.plan import Plan, Replica, resolve
from twinstack.model.topology_file import load
from twinstack.observe.svg import (
    BOX_HEIGHT,
    BOX_WIDTH,
    MARGIN,
    WIDTH,
    Box,
    lines,
    path,
    rect,
    svg,
    text,
)

HERE = Path(__file__).parent
BAND_HEIGHT, DOORS_HEIGHT = 142, 84
LEGEND_HEIGHT = 26


def services(flat: Plan, tiered: Plan) -> str:
    """Draw each service in its tier, the flows between them, and the doors."""
    boxes = _service_boxes(tiered)
    tops = {one: DOORS_HEIGHT + row * BAND_HEIGHT for row, one in enumerate(tiered.segments)}
    inner = Box(MARGIN, 0, WIDTH - 2 * MARGIN, BAND_HEIGHT - 14)
    parts = [rect(replace(inner, y=top), "band") for top in tops.values()]
    for name, box in boxes.items():
        ours = flat.replicas_of(name)
        many = f" × {len(ours)}" if len(ours) > 1 else ""
        parts += [
            rect(Box(box.x + 4 * back, box.y - 4 * back), "box")
            for back in range(min(len(ours), 3) - 1, -1, -1)
        ]
        parts += lines(
            box,
            [name + many, f"{ours[0].runtime}, port {ours[0].port}", f"flat {_addresses(ours)}"],
        )
    parts += [_arrow(boxes, flow, number) for number, flow in enumerate(_flows(tiered, boxes))]
    for name, doors in groupby(tiered.published_ports, lambda door: door.replica):
        ways = [f"{door.bind}:{door.port} ({door.world})" for door in doors]
        if name in boxes:
            parts += _door(boxes[name], ways)
    height = DOORS_HEIGHT + len(tiered.segments) * BAND_HEIGHT + LEGEND_HEIGHT
    parts += [
        text(MARGIN + 10, top + 18, "dim title", f"{one.name}: {one.bridge} {one.subnet}")
        for one, top in tops.items()
    ]
    parts.append(
        text(
            MARGIN,
            height - 14,
            "dim",
            "Bands: the tiers of the tiered shape. In the flat shape all share one bridge; "
            "the last part of an address stays.",
        )
    )
    return svg(height, f"{len(boxes)} services, {len(tiered.flows)} flows", parts)


def wiring(plan: Plan) -> str:
    """Draw the host, its bridges, and every namespace that hangs on them by a veth pair."""
    parts, top = [], DOORS_HEIGHT - 34
    ways = [
        f"port {door.port} → {door.replica}" for door in plan.published_ports if door.world == "net"
    ]
    host = "; ".join(["the host: " + ", ".join(ways), "MASQUERADE out", "routes between bridges"])
    parts += [
        rect(Box(MARGIN, 12, WIDTH - 2 * MARGIN, 26), "door"),
        text(MARGIN + 10, 29, "name", host),
    ]
    for segment in plan.segments:
        members = [one for one in plan.replicas if one.segment == segment.name]
        rows = [members[start : start + 5] for start in range(0, len(members), 5)]
        for number, row in enumerate(rows):
            line = top + 24
            parts.append(
                f'<line class="bridge" x1="{MARGIN}" x2="{WIDTH - MARGIN}" '
                f'y1="{line}" y2="{line}"/>'
            )
            if number == 0:
                parts.append(
                    text(
                        MARGIN,
                        line - 8,
                        "name",
                        f"{segment.bridge} {segment.gateway}/{segment.subnet.prefixlen}",
                    )
                )
            else:  # the same bridge, carried on
                parts.append(
                    f'<line class="bridge" x1="{MARGIN + 2}" x2="{MARGIN + 2}" '
                    f'y1="{line - BOX_HEIGHT - 62}" y2="{line}"/>'
                )
            parts += _hanging(row, line)
            top = line + BOX_HEIGHT + 38
    return svg(top, f"{len(plan.replicas)} namespaces", parts)


def pictures() -> dict[str, str]:
    """Give every picture of the repository's own topology by its file's name."""
    topology = load(HERE.parent / "topology.yml")
    flat, tiered = (resolve(topology, shape) for shape in ("flat", "tiered"))
    return {
        "architecture.svg": services(flat, tiered),
        "flat.svg": wiring(flat),
        "tiered.svg": wiring(tiered),
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
            boxes[name] = Box(left, DOORS_HEIGHT + row * BAND_HEIGHT + 44)
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
            return path(f"M{start:.0f} {y:.0f}L{end:.0f} {y:.0f}")
        start, end, up = one.middle + 60, other.middle - 60, one.y - 36
        return path(
            f"M{start:.0f} {one.y:.0f}C{start:.0f} {up:.0f} {end:.0f} {up:.0f} "
            f"{end:.0f} {other.y:.0f}"
        )
    start, end = one.middle + shift, other.middle + shift
    low = one.y + one.height
    half = (low + other.y) / 2
    return path(
        f"M{start:.0f} {low:.0f}C{start:.0f} {half:.0f} {end:.0f} {half:.0f} "
        f"{end:.0f} {other.y:.0f}"
    )


def _door(box: Box, ways: Sequence[str]) -> list[str]:
    pill = Box(box.x - 20, 12, box.width + 40, 16 * len(ways) + 10)
    parts = [rect(pill, "door")]
    parts += [
        text(pill.middle, pill.y + 18 + 16 * row, "", way, "middle") for row, way in enumerate(ways)
    ]
    return [*parts, path(f"M{box.middle:.0f} {pill.y + pill.height:.0f}V{box.y:.0f}", "flow way")]


def _hanging(row: Sequence[Replica], line: float) -> list[str]:
    room = (WIDTH - 2 * MARGIN) / len(row)
    parts = []
    for column, replica in enumerate(row):
        width = min(BOX_WIDTH, room - 10)
        box = Box(MARGIN + column * room + (room - width) / 2, line + 26, width)
        parts.append(
            f'<line class="wire" x1="{box.middle:.0f}" x2="{box.middle:.0f}" '
            f'y1="{line + 3}" y2="{box.y}"/>'
        )
        parts.append(text(box.middle - 6, line + 19, "dim", replica.host_link, "end"))
        parts.append(rect(box, "box"))
        parts += lines(
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

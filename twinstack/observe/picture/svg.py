"""A topology as a picture: the host, bridges, what is on them, and the open flows. Pure.

Nothing is shown by colour alone: what is not as declared is dashed, and says so in words.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from twinstack.observe.picture import text as tree
from twinstack.observe.picture.model import DIFFERS, MISSING, Item, WorldTopology
from twinstack.observe.svg import MARGIN, STYLE, WIDTH, Box, document, line, rect, text, text_in
from twinstack.printable import cut, visible

_STYLE = STYLE + (
    ".missing{stroke:#c62828;stroke-width:2;stroke-dasharray:6 4}"
    ".undeclared{stroke:#b3700e;stroke-width:2;stroke-dasharray:2 3}"
    ".differs{stroke:#b3700e;stroke-width:2.5}text.missing{stroke:none;fill:#b71c1c}"
    "text.undeclared,text.differs{stroke:none;fill:#8a5200}"
    "@media (prefers-color-scheme:dark){.missing{stroke:#ff8a80}.undeclared,.differs"
    "{stroke:#e0a548}text.missing{fill:#ff8a80}text.undeclared,text.differs{fill:#f0bf6a}}"
)
_ROW = 17
_IN_A_ROW = 5
_COLUMN = (WIDTH - 2 * MARGIN) / _IN_A_ROW
_BOX = _COLUMN - 8
_LETTERS = 26  # of the small type, in a box
_LETTERS_WIDE = 130


def picture(topologies: Sequence[WorldTopology]) -> str:
    """Draw topologies, one below the other."""
    parts: list[str] = []
    top = 12.0
    for topology in topologies:
        drawn, top = _world(topology, top)
        parts += drawn
        top += 20
    return document(parts, "; ".join(map(tree.headline, topologies)), top, style=_STYLE)


def _world(topology: WorldTopology, top: float) -> tuple[list[str], float]:
    parts = [text(MARGIN, top + 14, tree.headline(topology), "name")]
    top += 24
    lines = list(_host(topology))
    parts.append(rect(Box(MARGIN, top, WIDTH - 2 * MARGIN, _ROW * len(lines) + 12), "port"))
    for row, (words, kind) in enumerate(lines):
        parts.append(text(MARGIN + 10, top + 18 + _ROW * row, cut(words, _LETTERS_WIDE), kind))
    top += _ROW * len(lines) + 34
    for bridge, links in tree.by_bridge(topology):
        drawn, top = _bridge(topology, bridge, links, top)
        parts += drawn
    for replica in topology.of("replica"):
        if replica.problem:
            words = f"{replica.fact('kind')} {replica.name}: {replica.problem}"
            parts.append(text(MARGIN, top, visible(words), f"name {_class(replica)}"))
            top += _ROW
    return parts, top


def _class(one: Item) -> str:
    return one.state if one.problem else ""


def _host(topology: WorldTopology) -> Iterator[tuple[str, str]]:
    """List the lines of the host's box, each with its class."""
    yield "host", "name"
    for port in topology.of("published port"):
        yield _checked(port, tree.port_words(port))
    for nat in topology.of("nat"):
        yield _checked(nat, f"{nat.name} goes out as this host (MASQUERADE)")
    services = {replica.fact("service") for replica in topology.of("replica")}
    for source, destinations in tree.destinations_of(topology).items():
        if source not in services:
            yield f"{source} → {', '.join(destinations)}", ""
    yield from (_checked(flow, flow.name) for flow in tree.wrong_flows(topology))
    yield from ((note, "differs") for note in topology.notes)


def _checked(one: Item, words: str) -> tuple[str, str]:
    return (f"{words}: {one.problem}" if one.problem else words), _class(one)


def _bridge(
    topology: WorldTopology, bridge: Item | None, links: list[Item], top: float
) -> tuple[list[str], float]:
    """Draw a bridge (None: of no bridge) and its links, a few in a row; each row carries it on."""
    kind = "bridge" if bridge is None else f"bridge {_class(bridge)}".rstrip()
    words = "on no bridge of ours" if bridge is None else tree.bridge_words(bridge)
    if bridge is not None and bridge.problem:
        words += f": {bridge.problem}"
    parts = [text(MARGIN, top, cut(words, _LETTERS_WIDE), kind.replace("bridge", "name"))]
    if bridge is not None and not links:
        return [*parts, line(MARGIN, top + 8, WIDTH - MARGIN, top + 8, kind)], top + 34
    above = top
    for start in range(0, len(links), _IN_A_ROW):
        row = [(link, _box_lines(topology, link)) for link in links[start : start + _IN_A_ROW]]
        height = _ROW * max(len(lines) for _, lines in row) + 14
        rail = top + 8
        if bridge is not None:
            parts.append(line(MARGIN, rail, WIDTH - MARGIN, rail, kind))
        if bridge is not None and start:
            parts.append(line(MARGIN, above, MARGIN, rail, kind))
        above = rail
        for column, (link, lines) in enumerate(row):
            x = MARGIN + column * _COLUMN + (_COLUMN - _BOX) / 2
            parts += _link(link, lines, Box(x, rail + 28, _BOX, height), rail)
        top = rail + 28 + height + 30
    return parts, top


def _link(link: Item, lines: list[str], box: Box, rail: float) -> list[str]:
    return [
        line(box.middle, rail + 3, box.middle, box.y, f"wire {_class(link)}".rstrip()),
        # To the right: on the left the first one's name would cross the bridge carried on.
        text(box.middle + 6, rail + 19, visible(link.fact("outside")), "dim"),
        rect(box, f"box {_class(link)}".rstrip()),
        *text_in(box, lines),
    ]


def _box_lines(topology: WorldTopology, link: Item) -> list[str]:
    """Describe a link's replica: name, address, what is wrong, and the flows that it may open."""
    name = link.fact("replica")
    lines = [name or link.name, *filter(None, [tree.inner_end(link)])]
    for problem in link.differences or filter(None, [link.problem]):
        lines += textwrap.wrap(f"! {visible(problem)}", _LETTERS)
    first = next(one for one in topology.of("link") if one.fact("replica") == name)
    services = {one.name: one.fact("service") for one in topology.of("replica")}
    if first is link and (service := services.get(name)):  # not on its further networks
        lines += [f"→ {one}" for one in tree.destinations_of(topology).get(service, ())]
        for flow in topology.of("flow"):
            if flow.fact("source") == service and flow.state in {MISSING, DIFFERS}:
                lines.append(f"! → {tree.destination_of(flow)} {flow.state}")
    return [cut(words, _LETTERS) for words in lines]

"""A world as it is, as a picture: host, bridges, what hangs on them, and who may ask whom; pure.

Nothing is told by colour alone: what is not as declared is dashed, and says so in words.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from twinstack.observe.picture.mermaid import said
from twinstack.observe.picture.model import DIFFERS, MISSING, UNDECLARED, Scene, Seen
from twinstack.observe.picture.text import asked, headline, leads, wrong_flows
from twinstack.observe.svg import (
    BOX_WIDTH,
    MARGIN,
    STYLE,
    WIDTH,
    Box,
    document,
    line,
    rect,
    text,
    text_in,
)
from twinstack.printable import cut, visible

_STYLE = STYLE + (
    ".missing{stroke:#c62828;stroke-width:2;stroke-dasharray:6 4}"
    ".undeclared{stroke:#b3700e;stroke-width:2;stroke-dasharray:2 3}"
    ".differs{stroke:#b3700e;stroke-width:2.5}text.missing{stroke:none;fill:#b71c1c}"
    "text.undeclared,text.differs{stroke:none;fill:#8a5200}"
    "@media (prefers-color-scheme:dark){.missing{stroke:#ff8a80}.undeclared,.differs"
    "{stroke:#e0a548}text.missing{fill:#ff8a80}text.undeclared,text.differs{fill:#f0bf6a}}"
)
_CLASSES = {MISSING: " missing", UNDECLARED: " undeclared", DIFFERS: " differs"}
_ROW = 17
_IN_A_ROW = 5
_LETTERS = 28  # of the small type, in a box
_LETTERS_WIDE = 140


def picture(scenes: Sequence[Scene]) -> str:
    """Draw them, one below the other."""
    parts: list[str] = []
    top = 12.0
    for scene in scenes:
        drawn, top = _scene(scene, top)
        parts += drawn
        top += 20
    return document(parts, "; ".join(headline(scene) for scene in scenes), top, style=_STYLE)


def _scene(scene: Scene, top: float) -> tuple[list[str], float]:
    parts = [text(MARGIN, top + 14, headline(scene), "name")]
    top += 24
    head = list(_host(scene))
    parts.append(rect(Box(MARGIN, top, WIDTH - 2 * MARGIN, _ROW * len(head) + 12), "port"))
    for row, (words, kind) in enumerate(head):
        y = top + 18 + _ROW * row
        parts.append(text(MARGIN + 10, y, cut(words, _LETTERS_WIDE), kind))
    top += _ROW * len(head) + 34
    placed: set[str] = set()
    for bridge in scene.of("bridge"):
        hung = [link for link in scene.of("link") if link.fact("bridge") == bridge.name]
        placed |= {link.name for link in hung}
        drawn, top = _bridge(scene, bridge, hung, top)
        parts += drawn
    loose = [link for link in scene.of("link") if link.name not in placed]
    if loose:
        parts.append(text(MARGIN, top, "on no bridge of ours", "name"))
        drawn, top = _hung(scene, loose, top, wired=False)
        parts += drawn
    alone = [one for one in scene.of("place") if not one.right]
    for one in alone:
        words = f"{one.fact('kind')} {one.name}: {said(one)}"
        parts.append(text(MARGIN, top, visible(words), f"name{_CLASSES[one.state]}"))
        top += _ROW
    return parts, top


def _host(scene: Scene) -> Iterator[tuple[str, str]]:
    yield "host", "name"
    for door in scene.of("door"):
        who = f", for {door.fact('for')}" if door.fact("for") else ""
        yield _told(door, f"port {door.name} → {door.fact('replica')} {door.fact('to')}{who}")
    for one in scene.of("nat"):
        yield _told(one, f"{one.name} goes out as this host (MASQUERADE)")
    services = {place.fact("service") for place in scene.of("place")}
    for source, names in leads(scene).items():
        if source not in services:
            yield f"{source} → {', '.join(names)}", ""
    for one in wrong_flows(scene):
        yield _told(one, one.name)
    for note in scene.notes:
        yield note, "differs"


def _told(one: Seen, words: str) -> tuple[str, str]:
    if one.right:
        return words, ""
    return f"{words}: {said(one)}", _CLASSES[one.state].strip()


def _bridge(scene: Scene, bridge: Seen, hung: list[Seen], top: float) -> tuple[list[str], float]:
    kind = "" if bridge.right else _CLASSES[bridge.state]
    tiers = f" ({bridge.fact('tiers')})" if bridge.fact("tiers") else ""
    words = f"{bridge.name} {bridge.fact('address')}{tiers}"
    words = words if bridge.right else f"{words}: {said(bridge)}"
    parts = [text(MARGIN, top, cut(words, _LETTERS_WIDE), f"name{kind}")]
    if not hung:
        parts.append(line(MARGIN, top + 8, WIDTH - MARGIN, top + 8, f"bridge{kind}"))
        return parts, top + 34
    drawn, top = _hung(scene, hung, top, kind=kind)
    return parts + drawn, top


def _hung(
    scene: Scene, hung: list[Seen], top: float, *, wired: bool = True, kind: str = ""
) -> tuple[list[str], float]:
    """Hang links on their bridge, a few in a row; each row carries the bridge on."""
    parts: list[str] = []
    before = top
    for start in range(0, len(hung), _IN_A_ROW):
        row = [(link, _box_lines(scene, link)) for link in hung[start : start + _IN_A_ROW]]
        height = _ROW * max(len(words) for _, words in row) + 14
        rail = top + 8
        if wired:
            parts.append(line(MARGIN, rail, WIDTH - MARGIN, rail, f"bridge{kind}"))
        if wired and start:  # the same bridge, carried on
            parts.append(line(MARGIN, before, MARGIN, rail, f"bridge{kind}"))
        before = rail
        room = (WIDTH - 2 * MARGIN) / _IN_A_ROW
        width = min(BOX_WIDTH, room - 8)
        for column, (link, words) in enumerate(row):
            box = Box(MARGIN + column * room + (room - width) / 2, rail + 28, width, height)
            state = "" if link.right else _CLASSES[link.state]
            parts.append(line(box.middle, rail + 3, box.middle, box.y, f"wire{state}"))
            # To the right: at the left the name of the first would cross the bridge carried on.
            parts.append(text(box.middle + 6, rail + 19, visible(link.fact("outside")), "dim"))
            parts.append(rect(box, f"box{state}"))
            parts += text_in(box, words)
        top = rail + 28 + height + 30
    return parts, top


def _box_lines(scene: Scene, link: Seen) -> list[str]:
    """Say what hangs there: its name, its address, whom it may ask, and what is wrong."""
    words = [link.fact("replica") or link.name]
    address = " ".join(one for one in (link.fact("inside"), link.fact("address")) if one)
    words += [address] if address else []
    wrong = link.differences or (() if link.right else (link.state,))
    words += [line for one in wrong for line in textwrap.wrap(f"! {visible(one)}", _LETTERS)]
    home = next(one for one in scene.of("link") if one.fact("replica") == link.fact("replica"))
    if home is not link:  # a container's further network: whom it may ask stands in its first
        return [cut(one, _LETTERS) for one in words]
    service = next(
        (one.fact("service") for one in scene.of("place") if one.name == link.fact("replica")), ""
    )
    words += [f"→ {one}" for one in leads(scene).get(service, ())]
    for flow in scene.of("flow"):
        if service and flow.fact("source") == service and flow.state in {MISSING, DIFFERS}:
            words.append(f"! → {asked(flow)} {flow.state}")
    return [cut(one, _LETTERS) for one in words]

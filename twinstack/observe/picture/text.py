"""A world as it is, as a tree for a terminal; pure.

What is not as declared has a mark before it, as in a diff: - missing, + undeclared, ! differs.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace

from twinstack.observe.picture.model import (
    AS_DECLARED,
    DIFFERS,
    MISSING,
    UNDECLARED,
    Kind,
    Scene,
    Seen,
)
from twinstack.printable import visible

_MARKS = {AS_DECLARED: " ", MISSING: "-", UNDECLARED: "+", DIFFERS: "!"}
_MARK = 2
_MOST_ALIKE = 3


def text(scenes: Sequence[Scene], width: int = 80) -> str:
    """Write them. Units: columns of the terminal."""
    return "\n\n".join("\n".join(_wrapped(_lines(one), width)) for one in scenes)


def headline(scene: Scene) -> str:
    """Say in a sentence what there is, and whether it is as declared."""
    counts = [
        _number(scene, "bridge", "bridge"),
        _number(scene, "place", "namespace" if scene.world == "net" else "container"),
        _number(scene, "flow", "open flow") if scene.enforced else "every flow open",
    ]
    wrong = len(scene.wrong)
    verdict = f"{wrong} not as declared" if wrong else "as declared"
    return f"{scene.world} ({scene.shape}): {', '.join(counts)}; {verdict}"


def _number(scene: Scene, kind: Kind, word: str) -> str:
    count = sum(one.state != MISSING for one in scene.of(kind))
    return f"{count} {word}{'' if count == 1 else 's'}"


def _lines(scene: Scene) -> Iterator[tuple[str, int]]:
    """Give each line, and how far what does not fit into it is moved in."""
    yield headline(scene), 0
    for note in scene.notes:
        yield f"! {note}", _MARK
    yield "  host", 0
    for one in scene.of("door"):
        who = f", for {one.fact('for')}" if one.fact("for") else ""
        yield _line(one, 4, f"port {one.name} → {one.fact('replica')} {one.fact('to')}{who}")
    for one in scene.of("nat"):
        yield _line(one, 4, f"NAT  {one.name} goes out as this host")
    placed: set[str] = set()
    for bridge in scene.of("bridge"):
        yield _line(
            bridge,
            4,
            f"bridge {bridge.name} {bridge.fact('address')}"
            + (f" ({bridge.fact('tiers')})" if bridge.fact("tiers") else ""),
        )
        for link in scene.of("link"):
            if link.fact("bridge") == bridge.name:
                placed.add(link.name)
                yield _line(link, 6, _link(link))
    loose = [link for link in scene.of("link") if link.name not in placed]
    if loose:
        yield "    on no bridge of ours", 0
        yield from (_line(link, 6, _link(link)) for link in loose)
    for place in scene.of("place"):
        if not place.right:
            yield _line(place, 4, f"{place.fact('kind')} {place.name}")
    if scene.of("flow"):
        yield "  flows", 0
        yield from _flows(scene)


def _link(link: Seen) -> str:
    outside = link.fact("outside")
    if not link.fact("replica"):
        return outside or link.name
    inner = " ".join(one for one in (link.fact("inside"), link.fact("address")) if one)
    return f"{outside or '(no link)':<15} ─ {inner:<22} {link.fact('replica')}"


def _flows(scene: Scene) -> Iterator[tuple[str, int]]:
    """Gather what is as declared by who asks; the rest has a line each."""
    for source, names in leads(scene).items():
        yield f"    {source} → {', '.join(names)}", _MARK + 4
    for one in wrong_flows(scene):
        yield _line(one, 4, one.name)


def leads(scene: Scene) -> dict[str, list[str]]:
    """Give, for each who may ask, whom, and at which ports: of what is as declared."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in scene.of("flow"):
        if one.right:
            ends = (one.fact("source"), one.fact("destination"))
            found.setdefault(ends, []).append(port_of(one))
    told: dict[str, list[str]] = {}
    for (source, destination), ports in found.items():
        told.setdefault(source, []).append(f"{destination}:{','.join(ports)}")
    return told


def wrong_flows(scene: Scene) -> Iterator[Seen]:
    """List the flows that are not as declared; many that are undeclared alike become one.

    A single rule of a stranger's may open a port between all.
    """
    strange: dict[tuple[str, str], list[Seen]] = {}
    for one in scene.of("flow"):
        if one.state == UNDECLARED:
            strange.setdefault((one.fact("protocol"), one.fact("port")), []).append(one)
        elif not one.right:
            yield replace(one, name=f"{one.fact('source')} → {asked(one)}")
    for (protocol, port), alike in strange.items():
        if len(alike) > _MOST_ALIKE:
            words = f"{len(alike)} flows by {protocol} port {port}"
            yield Seen("flow", words, UNDECLARED, {"port": port, "protocol": protocol})
        else:
            yield from (replace(one, name=f"{one.fact('source')} → {asked(one)}") for one in alike)


def asked(flow: Seen) -> str:
    """Write what a flow leads to."""
    return f"{flow.fact('destination')}:{port_of(flow)}"


def port_of(flow: Seen) -> str:
    """Write a flow's port."""
    protocol = "" if flow.fact("protocol") == "tcp" else f"/{flow.fact('protocol')}"
    return flow.fact("port") + protocol


def _line(one: Seen, indent: int, words: str) -> tuple[str, int]:
    said = "; ".join(one.differences) or ("" if one.right else one.state)
    line = _MARKS[one.state].ljust(indent) + words
    return (f"{line}: {said}" if said else line), indent + _MARK


def _wrapped(lines: Iterator[tuple[str, int]], width: int) -> Iterator[str]:
    for line, indent in lines:
        shown = visible(line)
        if len(shown) <= width:
            yield shown
        else:
            # Its own indent is kept by hand: wrapping would take it for blanks between words.
            start = shown[: len(shown) - len(shown[1:].lstrip()) or None]
            yield from textwrap.wrap(
                shown[len(start) :],
                width,
                initial_indent=start,
                subsequent_indent=" " * indent,
                break_on_hyphens=False,
            )

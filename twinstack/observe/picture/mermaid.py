"""A world as it is, as a Mermaid flowchart; pure. Source: the syntax of Mermaid's flowcharts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twinstack.observe.picture.model import (
    AS_DECLARED,
    DIFFERS,
    MISSING,
    UNDECLARED,
    Scene,
    Seen,
    State,
)
from twinstack.observe.picture.text import leads, port_of, wrong_flows
from twinstack.printable import visible

_CLASSES: dict[State, str] = {MISSING: "missing", UNDECLARED: "undeclared", DIFFERS: "differs"}
_STYLES = (
    "classDef missing stroke:#c62828,stroke-width:2px,stroke-dasharray:6 4",
    "classDef undeclared stroke:#b3700e,stroke-width:2px,stroke-dasharray:2 3",
    "classDef differs stroke:#b3700e,stroke-width:3px",
)
_ENTITIES = {"&": "#amp;", "<": "#lt;", ">": "#gt;", '"': "#quot;", "#": "#35;", "`": "#96;"}


def mermaid(scenes: Sequence[Scene]) -> str:
    """Draw them, each in a frame of its own."""
    lines = ["flowchart TB"]
    for number, scene in enumerate(scenes):
        lines += [f"  {line}" for line in _Drawn(scene, f"w{number}").lines()]
    return "\n".join([*lines, *(f"  {style}" for style in _STYLES), ""])


class _Drawn:
    """One world's lines. Nodes are numbered: a name of the kernel's may hold any letter."""

    def __init__(self, scene: Scene, prefix: str) -> None:
        self._scene = scene
        self._prefix = prefix
        self._ids: dict[tuple[str, str], str] = {}
        self._classes: dict[str, list[str]] = {}

    def lines(self) -> Iterator[str]:
        scene = self._scene
        title = f"{scene.world}, {scene.shape}"
        yield f'subgraph {self._prefix}["{quoted(title)}"]'
        yield f'  {self._prefix}out(("outside")) ~~~ {self._prefix}host["host"]'
        for door in scene.of("door"):
            yield f"  {self._node(door, 'port ' + door.name, 'door', door.name)}"
        for bridge in scene.of("bridge"):
            words = f"{bridge.name}<br>{bridge.fact('address')}"
            yield f"  {self._node(bridge, words, 'bridge', bridge.name)}"
        yield from self._places()
        yield from (f"  {line}" for line in self._edges())
        yield "end"
        for name, nodes in sorted(self._classes.items()):
            yield f"class {','.join(nodes)} {name}"

    def _places(self) -> Iterator[str]:
        links: dict[str, list[str]] = {}
        for link in self._scene.of("link"):
            links.setdefault(link.fact("replica"), []).append(link.fact("address"))
        services: dict[str, list[Seen]] = {}
        for place in self._scene.of("place"):
            services.setdefault(place.fact("service") or place.name, []).append(place)
        for service, places in services.items():
            frame = self._id("service", service)
            yield f'  subgraph {frame}["{quoted(service)}"]'
            for place in places:
                words = "<br>".join([place.name, *links.get(place.name, [])])
                yield f"    {self._node(place, words, 'place', place.name)}"
            yield "  end"

    def _edges(self) -> Iterator[str]:
        for link in self._scene.of("link"):
            bridge = self._ids.get(("bridge", link.fact("bridge")))
            place = self._ids.get(("place", link.fact("replica")))
            if place is None:  # a stranger's: all that is known is its end on our bridge
                name = link.fact("outside") or link.name
                yield self._node(link, name, "link", link.name)
                place = self._ids["link", link.name]
            line = "---" if link.state == AS_DECLARED else f'-. "{quoted(said(link))}" .-'
            if bridge is not None:
                yield f"{bridge} {line} {place}"
        for door in self._scene.of("door"):
            place = self._ids.get(("place", door.fact("replica")))
            if place is not None:
                yield f'{self._ids["door", door.name]} ==>|"{quoted(door.fact("to"))}"| {place}'
        for source, names in leads(self._scene).items():
            for destination, _, ports in (name.rpartition(":") for name in names):
                ends = self._end(source), self._end(destination)
                if all(ends):
                    yield f'{ends[0]} -->|"{quoted(ports)}"| {ends[1]}'
        for flow in wrong_flows(self._scene):
            yield from self._flow(flow)

    def _flow(self, flow: Seen) -> Iterator[str]:
        if not flow.fact("source"):  # many alike
            yield self._node(flow, flow.name, "flow", flow.name)
            return
        ends = [self._end(flow.fact(end)) for end in ("source", "destination")]
        if ends[0] and ends[1]:
            words = f"{port_of(flow)} {said(flow)}"
            yield f'{ends[0]} -.->|"{quoted(words)}"| {ends[1]}'

    def _end(self, name: str) -> str:
        known = {"host": f"{self._prefix}host", "outside": f"{self._prefix}out"}
        return known.get(name) or self._ids.get(("service", name), "")

    def _node(self, one: Seen, words: str, kind: str, name: str) -> str:
        node = self._id(kind, name)
        if not one.right:
            self._classes.setdefault(_CLASSES[one.state], []).append(node)
            words += f"<br>{said(one)}"
        inner = "<br>".join(quoted(word) for word in words.split("<br>"))
        shape = '[["{}"]]' if kind == "bridge" else '(["{}"])' if kind == "door" else '["{}"]'
        return node + shape.format(inner)

    def _id(self, kind: str, name: str) -> str:
        return self._ids.setdefault((kind, name), f"{self._prefix}n{len(self._ids)}")


def said(one: Seen) -> str:
    """Say how an item differs."""
    return "; ".join(one.differences) or one.state


def quoted(words: str) -> str:
    """Write a text so that Mermaid takes it for nothing else."""
    return "".join(_ENTITIES.get(letter, letter) for letter in visible(words))

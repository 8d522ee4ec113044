"""A topology as a Mermaid flowchart. Pure. Source: the syntax of Mermaid's flowcharts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twinstack.observe.picture.model import AS_DECLARED, Item, WorldTopology
from twinstack.observe.picture.text import destinations_of, port_of, wrong_flows
from twinstack.printable import visible

_STYLES = (
    "classDef missing stroke:#c62828,stroke-width:2px,stroke-dasharray:6 4",
    "classDef undeclared stroke:#b3700e,stroke-width:2px,stroke-dasharray:2 3",
    "classDef differs stroke:#b3700e,stroke-width:3px",
)
_ENTITIES = {"&": "#amp;", "<": "#lt;", ">": "#gt;", '"': "#quot;", "#": "#35;", "`": "#96;"}
_SHAPES = {"bridge": '[["{}"]]', "published port": '(["{}"])'}


def mermaid(topologies: Sequence[WorldTopology]) -> str:
    """Draw topologies, each in a frame of its own."""
    lines = ["flowchart TB"]
    for number, topology in enumerate(topologies):
        lines += [f"  {line}" for line in _Flowchart(topology, f"w{number}").lines()]
    return "\n".join([*lines, *(f"  {style}" for style in _STYLES), ""])


class _Flowchart:
    """One world's lines. Nodes are numbered, as a link's name may hold any letter."""

    def __init__(self, topology: WorldTopology, prefix: str) -> None:
        self._topology = topology
        self._prefix = prefix
        self._ids: dict[tuple[str, str], str] = {}
        self._classes: dict[str, list[str]] = {}

    def lines(self) -> Iterator[str]:
        topology, prefix = self._topology, self._prefix
        yield f'subgraph {prefix}["{quoted(f"{topology.world}, {topology.shape}")}"]'
        yield f'  {prefix}out(("outside")) ~~~ {prefix}host["host"]'
        for port in topology.of("published port"):
            yield f"  {self._node(port, f'port {port.name}')}"
        for bridge in topology.of("bridge"):
            yield f"  {self._node(bridge, bridge.name, bridge.fact('address'))}"
        yield from (f"  {line}" for line in (*self._replicas(), *self._links(), *self._flows()))
        yield "end"
        for name, nodes in sorted(self._classes.items()):
            yield f"class {','.join(nodes)} {name}"

    def _replicas(self) -> Iterator[str]:
        addresses: dict[str, list[str]] = {}
        for link in self._topology.of("link"):
            addresses.setdefault(link.fact("replica"), []).append(link.fact("address"))
        services: dict[str, list[Item]] = {}
        for replica in self._topology.of("replica"):
            services.setdefault(replica.fact("service") or replica.name, []).append(replica)
        for service, replicas in services.items():
            yield f'subgraph {self._id("service", service)}["{quoted(service)}"]'
            for replica in replicas:
                yield f"  {self._node(replica, replica.name, *addresses.get(replica.name, []))}"
            yield "end"

    def _links(self) -> Iterator[str]:
        for link in self._topology.of("link"):
            bridge = self._ids.get(("bridge", link.fact("bridge")))
            end = self._ids.get(("replica", link.fact("replica")))
            if end is None:  # a foreign link: only its end on our bridge is known
                yield self._node(link, link.fact("outside") or link.name)
                end = self._ids["link", link.name]
            line = "---" if link.state == AS_DECLARED else f'-. "{quoted(link.problem)}" .-'
            if bridge is not None:
                yield f"{bridge} {line} {end}"
        for port in self._topology.of("published port"):
            end = self._ids.get(("replica", port.fact("replica")))
            if end is not None:
                start = self._ids["published port", port.name]
                yield f'{start} ==>|"{quoted(port.fact("to"))}"| {end}'

    def _flows(self) -> Iterator[str]:
        for source, destinations in destinations_of(self._topology).items():
            for destination, _, ports in (one.rpartition(":") for one in destinations):
                yield from self._arrow("-->", source, destination, ports)
        for flow in wrong_flows(self._topology):
            if not flow.fact("source"):  # many alike
                yield self._node(flow, flow.name)
            else:
                words = f"{port_of(flow)} {flow.problem}"
                yield from self._arrow("-.->", flow.fact("source"), flow.fact("destination"), words)

    def _arrow(self, arrow: str, source: str, destination: str, words: str) -> Iterator[str]:
        host, outside = f"{self._prefix}host", f"{self._prefix}out"
        known = {"host": host, "outside": outside}
        start, end = (
            known.get(name) or self._ids.get(("service", name)) for name in (source, destination)
        )
        if start and end:
            yield f'{start} {arrow}|"{quoted(words)}"| {end}'

    def _node(self, one: Item, *lines: str) -> str:
        node = self._id(one.kind, one.name)
        if one.problem:
            self._classes.setdefault(one.state, []).append(node)
            lines = (*lines, one.problem)
        label = "<br>".join(quoted(line) for line in lines)
        return node + _SHAPES.get(one.kind, '["{}"]').format(label)

    def _id(self, kind: str, name: str) -> str:
        return self._ids.setdefault((kind, name), f"{self._prefix}n{len(self._ids)}")


def quoted(words: str) -> str:
    """Escape a text for Mermaid."""
    return "".join(_ENTITIES.get(letter, letter) for letter in visible(words))

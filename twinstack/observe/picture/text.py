"""A topology as a tree for a terminal. Pure.

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
    Item,
    Kind,
    WorldTopology,
    item,
)
from twinstack.printable import counted, visible

_MARKS = {AS_DECLARED: " ", MISSING: "-", UNDECLARED: "+", DIFFERS: "!"}
_MARK = 2
_MOST_ALIKE = 3
#: A line, and how far its continuation is indented.
Lines = Iterator[tuple[str, int]]


def text(topologies: Sequence[WorldTopology], width: int = 80) -> str:
    """Write topologies. Units: columns of the terminal."""
    return "\n\n".join("\n".join(_wrapped(_lines(one), width)) for one in topologies)


def headline(topology: WorldTopology) -> str:
    """Summarise a topology in a sentence."""
    replicas = "namespace" if topology.world == "net" else "container"
    flows = _number(topology, "flow", "open flow") if topology.enforced else "every flow open"
    counts = [_number(topology, "bridge", "bridge"), _number(topology, "replica", replicas), flows]
    wrong = len(topology.wrong)
    verdict = f"{wrong} not as declared" if wrong else "as declared"
    return f"{topology.world} ({topology.shape}): {', '.join(counts)}; {verdict}"


def _number(topology: WorldTopology, kind: Kind, word: str) -> str:
    count = sum(one.state != MISSING for one in topology.of(kind))
    return counted(count, word)


def _lines(topology: WorldTopology) -> Lines:
    yield headline(topology), 0
    for note in topology.notes:
        yield f"! {note}", _MARK
    yield "  host", 0
    for port in topology.of("published port"):
        yield _line(port, 4, port_words(port))
    for nat in topology.of("nat"):
        yield _line(nat, 4, f"NAT  {nat.name} goes out as this host")
    for bridge, ports in by_bridge(topology):
        if bridge is None:
            yield "    on no bridge of ours", 0
        else:
            yield _line(bridge, 4, f"bridge {bridge_words(bridge)}")
        yield from (_line(link, 6, _link_words(link)) for link in ports)
    for replica in topology.of("replica"):
        if replica.state != AS_DECLARED:
            yield _line(replica, 4, f"{replica.fact('kind')} {replica.name}")
    if topology.of("flow"):
        yield "  flows", 0
        for source, destinations in destinations_of(topology).items():
            yield f"    {source} → {', '.join(destinations)}", _MARK + 4
        yield from (_line(flow, 4, flow.name) for flow in wrong_flows(topology))


def by_bridge(topology: WorldTopology) -> Iterator[tuple[Item | None, list[Item]]]:
    """Give each bridge with the links on it; last, under None, the links that are on none."""
    links, bridges = topology.of("link"), topology.of("bridge")
    for bridge in bridges:
        yield bridge, [link for link in links if link.fact("bridge") == bridge.name]
    names = {bridge.name for bridge in bridges}
    if loose := [link for link in links if link.fact("bridge") not in names]:
        yield None, loose


def port_words(port: Item) -> str:
    """Describe a published port."""
    clients = f", for {port.fact('for')}" if port.fact("for") else ""
    return f"port {port.name} → {port.fact('replica')} {port.fact('to')}{clients}"


def bridge_words(bridge: Item) -> str:
    """Describe a bridge."""
    tiers = f" ({bridge.fact('tiers')})" if bridge.fact("tiers") else ""
    return f"{bridge.name} {bridge.fact('address')}{tiers}"


def _link_words(link: Item) -> str:
    outside = link.fact("outside")
    if not link.fact("replica"):
        return outside or link.name
    return f"{outside or '(no link)':<15} ─ {inner_end(link):<22} {link.fact('replica')}"


def inner_end(link: Item) -> str:
    """Describe a link's end inside its namespace."""
    return f"{link.fact('inside')} {link.fact('address')}".strip()


def destinations_of(topology: WorldTopology) -> dict[str, list[str]]:
    """List by source the destinations, with their ports, of the flows that are as declared."""
    ports: dict[tuple[str, str], list[str]] = {}
    for flow in topology.of("flow"):
        if flow.state == AS_DECLARED:
            ends = (flow.fact("source"), flow.fact("destination"))
            ports.setdefault(ends, []).append(port_of(flow))
    destinations: dict[str, list[str]] = {}
    for (source, destination), numbers in ports.items():
        destinations.setdefault(source, []).append(f"{destination}:{','.join(numbers)}")
    return destinations


def wrong_flows(topology: WorldTopology) -> Iterator[Item]:
    """List the flows that are not as declared; many undeclared ones of a port become one.

    A single foreign rule may open a port between all.
    """
    undeclared: dict[tuple[str, str], list[Item]] = {}
    for flow in topology.of("flow"):
        named = replace(flow, name=f"{flow.fact('source')} → {destination_of(flow)}")
        if flow.state == UNDECLARED:
            undeclared.setdefault((flow.fact("protocol"), flow.fact("port")), []).append(named)
        elif flow.state != AS_DECLARED:
            yield named
    for (protocol, port), alike in undeclared.items():
        if len(alike) > _MOST_ALIKE:
            name = f"{len(alike)} flows by {protocol} port {port}"
            yield replace(item("flow", name, port=port, protocol=protocol), state=UNDECLARED)
        else:
            yield from alike


def destination_of(flow: Item) -> str:
    """Write a flow's destination and port."""
    return f"{flow.fact('destination')}:{port_of(flow)}"


def port_of(flow: Item) -> str:
    """Write a flow's port."""
    protocol = "" if flow.fact("protocol") == "tcp" else f"/{flow.fact('protocol')}"
    return flow.fact("port") + protocol


def _line(one: Item, indent: int, words: str) -> tuple[str, int]:
    line = _MARKS[one.state].ljust(indent) + words
    return (f"{line}: {one.problem}" if one.problem else line), indent + _MARK


def _wrapped(lines: Lines, width: int) -> Iterator[str]:
    for line, indent in lines:
        shown = visible(line)
        if len(shown) <= width:
            yield shown
            continue
        # The indent is kept by hand: wrapping would take it for blanks between words.
        start = shown[: len(shown) - len(shown[1:].lstrip())]
        words, below = shown[len(start) :], " " * indent
        yield from textwrap.wrap(
            words, width, initial_indent=start, subsequent_indent=below, break_on_hyphens=False
        )

"""The rungs that stand on each other, and the two ways along them; pure.

A setting is a set of rungs. Up, each is added to those before it. Down, the oldest that no other
needs is taken away, so each is measured without what surrounds it on the way up: where the figures
differ, rungs change each other's cost. Both ways lead between the same two ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.engine.arm import Contrast
from bench.load.echo import KEPT, NEW

UP, DOWN, SIDE = "up", "down", "side"
KINDS = (KEPT, NEW)
Setting = frozenset[str]


@dataclass(frozen=True, slots=True)
class Layer:
    """One rung of the ladder that stands on others."""

    name: str
    adds: str
    needs: tuple[str, ...] = ()  # each: the rungs one of which it needs, "bridge|routed"
    replaces: str = ""  # the rung that it takes the place of, and needs


#: In the order of the way up, from loopback.
LAYERS = (
    Layer("veth", "two namespaces, joined by a veth pair"),
    Layer("bridge", "a bridge and a second veth pair", ("veth",)),
    Layer("br_netfilter", "frames go to iptables, into an empty chain", ("bridge",)),
    Layer("conntrack", "connections are tracked, one rule counts", ("br_netfilter|routed",)),
    Layer("policy", "the chains of our policy, which need conntrack", ("conntrack",)),
    Layer("routed", "the server on a second bridge: the host routes", ("bridge",)),
    Layer("DNAT", "the client asks the host's port", ("conntrack", "routed")),
    Layer("cgroup", "CPU quota (not reached) and memory limit"),
    Layer("bind", "the server's root is a bind mount"),
    Layer("overlayfs", "... is an overlay instead", ("bind",), "bind"),
    Layer("seccomp", "the filter of both worlds' services"),
    Layer("PID namespace", "the server is the first process of its own"),
    Layer("log: file", "a line for each request"),
    Layer("log: pipe", "... to a pipe with a reader instead", ("log: file",), "log: file"),
    Layer("log: json", "... which writes JSON to a file", ("log: pipe",), "log: pipe"),
)
GROUND, TOP = "loopback", LAYERS[-1].name


@dataclass(frozen=True, slots=True)
class Edge:
    """One rung: the places with it and without it."""

    way: str  # UP, DOWN, SIDE, or "whole"
    rung: str
    upper: str
    lower: str

    def contrast(self, kind: str) -> Contrast:
        """Compare its places by a kind of request."""
        return Contrast(arm(self.upper, kind), arm(self.lower, kind), f"{self.way} {self.rung}")


#: In one round each way is climbed so often, and the whole measured: as long as one way.
_CLIMBS, _WHOLES = 2, 8
#: From the ground to the top at once, measured for itself.
WHOLE = Edge("whole", "all of it", TOP, GROUND)


def arm(place: str, kind: str) -> str:
    """Name the arm of a place and a kind of request."""
    return f"{place}, {kind}"


def climb() -> list[Setting]:
    """Give the settings of the way up."""
    names = [layer.name for layer in LAYERS]
    return [frozenset(names[:count]) for count in range(len(names) + 1)]


def descend() -> Iterator[Setting]:
    """Give the settings of the way down."""
    left = climb()[-1]
    yield left
    while left:
        names = (layer.name for layer in LAYERS if layer.name in left)
        left -= {next(name for name in names if stands(left - {name}))}
        yield left


def stands(setting: Setting) -> bool:
    """Tell whether every rung of a setting has what it needs."""
    needs = (need for layer in LAYERS if layer.name in setting for need in layer.needs)
    return all(setting & set(need.split("|")) for need in needs)


def shown(setting: Setting) -> list[str]:
    """Name the rungs of a setting that no other has replaced: each must be proved."""
    replaced = {layer.replaces for layer in LAYERS if layer.name in setting}
    return [layer.name for layer in LAYERS if layer.name in setting - replaced]


def settings() -> dict[str, Setting]:
    """Name every setting: up by the rung that was added last, down by the one taken last."""
    named = dict(zip([GROUND, *(layer.name for layer in LAYERS)], climb(), strict=True))
    for before, after in pairwise(descend()):
        if after not in named.values():
            named[f"less {next(iter(before - after))}"] = after
    return named


def edges() -> list[Edge]:
    """Give the rungs of the way up, then those of the way down."""
    places = {setting: name for name, setting in settings().items()}
    steps = [(UP, upper, lower) for lower, upper in pairwise(climb())]
    steps += [(DOWN, upper, lower) for upper, lower in pairwise(descend())]
    rungs = [next(iter(upper - lower)) for _, upper, lower in steps]
    return [
        Edge(way, rung, places[upper], places[lower])
        for rung, (way, upper, lower) in zip(rungs, steps, strict=True)
    ]


def places(edge: Edge, edges: Sequence[Edge]) -> tuple[str, ...]:
    """Give the places that are measured in one go with a rung's.

    A way is climbed from end to end: each place counts for the rung above it and the one below, so
    that what disturbs it cancels in their sum.
    """
    if edge.way not in (UP, DOWN):
        return edge.lower, edge.upper
    ends = [(each.lower, each.upper) for each in edges if each.way == edge.way]
    steps = ends if edge.way == UP else [(upper, lower) for lower, upper in ends]
    return tuple(dict.fromkeys(place for step in steps for place in step))


def blocks(edges: Sequence[Edge]) -> list[tuple[str, ...]]:
    """Give the places of each block of a round."""
    often = {UP: _CLIMBS, DOWN: _CLIMBS, WHOLE.way: _WHOLES}
    goes = {places(edge, edges): often.get(edge.way, 1) for edge in edges}
    return [own for own, times in goes.items() for _ in range(times)]

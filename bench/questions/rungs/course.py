"""The rungs that stand on each other, and the two ways along them; pure.

A setting is a set of rungs. Up, each rung is added to those before it. Down, the oldest rung that no
other needs is taken away: so each is measured without what surrounds it on the way up, and where the
two figures differ, rungs change each other's cost. Both ways lead between the same two ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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


#: In the order of the way up; "loopback" is the ground.
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
    Layer("PID namespace", "the server is process 1 of its own"),
    Layer("log: file", "a line for each request"),
    Layer("log: pipe", "... to a pipe with a reader instead", ("log: file",), "log: file"),
    Layer("log: json", "... which writes JSON to a file", ("log: pipe",), "log: pipe"),
)
GROUND: Setting = frozenset()
TOP: Setting = frozenset(layer.name for layer in LAYERS)


@dataclass(frozen=True, slots=True)
class Edge:
    """One rung: what is measured with it, and without it."""

    way: str  # UP, DOWN or SIDE
    rung: str
    adds: str
    upper: str
    lower: str

    def contrast(self, kind: str) -> Contrast:
        return Contrast(arm(self.upper, kind), arm(self.lower, kind), f"{self.way} {self.rung}")


def arm(place: str, kind: str) -> str:
    """Name the arm of a place and a kind of request."""
    return f"{place}, {kind}"


def settings() -> dict[str, Setting]:
    """Give every setting of both ways by its place: its last rung up, what was taken last down."""
    named: dict[str, Setting] = {}
    last = "loopback"
    for setting in climb():
        last = next(iter(setting - named.get(last, GROUND)), last)
        named[last] = setting
    previous = TOP
    for setting in descend():
        if setting not in named.values():
            (taken,) = previous - setting
            named[f"less {taken}"] = setting
        previous = setting
    return named


def climb() -> Iterator[Setting]:
    """Give the settings of the way up, from the ground to the top."""
    for count in range(len(LAYERS) + 1):
        yield frozenset(layer.name for layer in LAYERS[:count])


def descend() -> Iterator[Setting]:
    """Give the settings of the way down, from the top to the ground."""
    left = TOP
    yield left
    while left:
        oldest = next(
            layer.name
            for layer in LAYERS
            if layer.name in left and stands(left - {layer.name})
        )
        left -= {oldest}
        yield left


def stands(setting: Setting) -> bool:
    """Tell whether every rung has what it needs."""
    return all(
        setting & set(need.split("|"))
        for layer in LAYERS
        if layer.name in setting
        for need in layer.needs
    )


def shown(setting: Setting) -> tuple[Layer, ...]:
    """Give the rungs of a setting whose place no other has taken: each must be proved."""
    taken = {layer.replaces for layer in LAYERS if layer.name in setting}
    return tuple(layer for layer in LAYERS if layer.name in setting and layer.name not in taken)


def edges() -> tuple[Edge, ...]:
    """Give the rungs of the way up, then those of the way down."""
    adds = {layer.name: layer.adds for layer in LAYERS}
    places = {setting: name for name, setting in settings().items()}
    found = []
    for way, path in ((UP, list(climb())), (DOWN, list(descend()))):
        for one, next_ in zip(path, path[1:], strict=False):
            upper, lower = (next_, one) if way == UP else (one, next_)
            (rung,) = upper - lower
            found.append(Edge(way, rung, adds[rung], places[upper], places[lower]))
    return tuple(found)


#: The whole, from the ground to the top, measured for itself.
WHOLE = Edge("whole", "all of it", "", LAYERS[-1].name, "loopback")

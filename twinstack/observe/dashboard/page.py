"""The dashboard's page: a template, filled for each request, and the layout of its map.

The map has rows from the clients downwards, at most four boxes in each, so that a phone shows the
whole width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from twinstack.model.plan import Plan, Replica
from twinstack.model.topology import WorldName
from twinstack.observe.live.model import EDGE, GATEWAY, REGISTRY
from twinstack.observe.live.samples import key_of
from twinstack.observe.svg import Box, curve
from twinstack.software.configs import templates_in

WIDTH = 400
CLIENT = "world"
_ACROSS = 4
_NODE_WIDTH, _NODE_HEIGHT, _CLIENT_HEIGHT = 90, 50, 26
_ROW_HEIGHT, _TOP, _FIRST_ROW = 92, 8, 74
_LEAVES = frozenset({"redis", "postgres"})  # runtimes drawn in the last row, with the registry
_LONG_NAME = 12
FOLDER = "dashboard"
TITLES: Mapping[WorldName, str] = {"net": "Namespaces", "docker": "Docker"}


@dataclass(frozen=True, slots=True)
class MapNode(Box):
    """A box of the map: the clients, or a replica."""

    name: str = ""
    lines: tuple[str, ...] = ()  # its name, broken to fit


@dataclass(frozen=True, slots=True)
class MapEdge:
    """A flow between two boxes; `path` is its curve's path data."""

    source: str
    destination: str
    path: str


@dataclass(frozen=True, slots=True)
class TopologyMap:
    """The drawing; the first node is the clients."""

    nodes: tuple[MapNode, ...]
    edges: tuple[MapEdge, ...]
    height: int
    width: int = WIDTH


def topology_map(plan: Plan) -> TopologyMap:
    """Lay out a plan."""
    nodes = {node.name: node for node in _nodes(plan)}
    height = max(node.bottom for node in nodes.values()) + 8
    return TopologyMap(tuple(nodes.values()), tuple(_edges(plan, nodes)), round(height))


def _rows(plan: Plan) -> Iterator[Sequence[Replica]]:
    """Order replicas: the edge, the gateway, the services behind it, what those need."""
    called = {flow.destination for flow in plan.flows if flow.source == GATEWAY} - {REGISTRY}
    rows: list[list[Replica]] = [[], [], [], []]
    for replica in plan.replicas:
        if replica.service in {EDGE, GATEWAY}:
            rows[replica.service == GATEWAY].append(replica)
        else:
            leaf = replica.service not in called or replica.runtime in _LEAVES
            rows[3 if leaf else 2].append(replica)
    for row in rows:
        for start in range(0, len(row), _ACROSS):
            yield row[start : start + _ACROSS]


def _nodes(plan: Plan) -> Iterator[MapNode]:
    x = (WIDTH - _NODE_WIDTH) / 2
    yield MapNode(x, _TOP, _NODE_WIDTH, _CLIENT_HEIGHT, CLIENT, ("clients",))
    for number, row in enumerate(_rows(plan)):
        gap = (WIDTH - len(row) * _NODE_WIDTH) / (len(row) + 1)
        y = _FIRST_ROW + number * _ROW_HEIGHT
        for column, replica in enumerate(row):
            x = gap + column * (_NODE_WIDTH + gap)
            lines = broken(replica.name)
            yield MapNode(x, y, _NODE_WIDTH, _NODE_HEIGHT, replica.name, lines)


def broken(name: str) -> tuple[str, ...]:
    """Break a long name at the hyphen nearest its middle."""
    hyphens = [place for place, letter in enumerate(name) if letter == "-"]
    if len(name) <= _LONG_NAME or not hyphens:
        return (name,)
    best = min(hyphens, key=lambda place: abs(place - len(name) / 2))
    return name[: best + 1], name[best + 1 :]


def _edges(plan: Plan, nodes: dict[str, MapNode]) -> Iterator[MapEdge]:
    for flow in plan.flows:
        sources = [replica.name for replica in plan.replicas_of(flow.source)]
        for source in [CLIENT] if flow.source == CLIENT else sources:
            for target in plan.replicas_of(flow.destination):
                upper, lower = nodes[source], nodes[target.name]
                end, bend = lower.y, None
                if upper.y == lower.y:  # in one row: below both
                    end = upper.bottom
                    bend = end + 22
                path = curve(upper.middle, upper.bottom, lower.middle, end, bend)
                yield MapEdge(source, target.name, path)


class BenchmarkRatio(BaseModel):
    """A ratio of two entry points, with its interval."""

    estimate: float
    low: float
    high: float

    @property
    def percent(self) -> str:
        """Write it as a change: +5.3 % [+4.8, +5.7]."""
        ends = (f"{100 * (end - 1):+.1f}" for end in (self.estimate, self.low, self.high))
        return "{} % [{}, {}]".format(*(end.replace("-", "−") for end in ends))


class BenchmarkContrast(BaseModel):
    """What the first entry point costs over the second."""

    first: str
    second: str
    ratios: dict[str, BenchmarkRatio]


class Benchmark(BaseModel):
    """A comparison, as kept under bench/results; interrupted ones have no contrasts."""

    started: datetime
    load: str
    sentence: str
    contrasts: list[BenchmarkContrast] = Field(min_length=1)
    page: str = ""


def newest(results: Path) -> Benchmark | None:
    """Read the newest comparison that is readable; None where there is none."""
    for file in sorted(results.glob("*-compare.json"), reverse=True):
        with suppress(OSError, ValidationError):
            benchmark = Benchmark.model_validate_json(file.read_bytes())
            return benchmark.model_copy(update={"page": file.with_suffix(".html").name})
    return None


def page(plans: Mapping[WorldName, Plan | None], results: Path, templates: Path) -> bytes:
    """Render the page of some worlds; the plan is None of one that is not up."""
    template = templates_in(templates / FOLDER, html=True).get_template("page.html.j2")
    worlds = [_world(name, plan) for name, plan in plans.items()]
    return template.render(worlds=worlds, benchmark=newest(results)).encode()


def _world(name: WorldName, plan: Plan | None) -> dict[str, object]:
    # The page reloads when the key of a sample is another: then another topology runs.
    key, drawn = (key_of(plan), topology_map(plan)) if plan else ("", None)
    return {"name": name, "title": TITLES[name], "plan": plan, "key": key, "map": drawn}

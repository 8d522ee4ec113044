"""Draws the ladder: each rung both ways, the sum of the rungs against the whole; pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from bench.engine.arm import Quantity
from bench.engine.measured import Measured
from bench.engine.show import columns, signed
from bench.load.echo import KEPT, NEW
from bench.questions.rungs.course import DOWN, KINDS, LAYERS, SIDE, UP, WHOLE, Edge, arm, places
from twinstack.statistics import estimate
from twinstack.statistics.estimate import Interval

CPU = Quantity(
    "cpu", "CPU time per request", lambda window: window.figures["cpu_us"] / window.done, "µs"
)
TIME = Quantity.figure("time_us", "time of a request in the median batch", "µs")
QUANTITIES = (CPU, TIME)
_TITLES = {KEPT: "A round trip on a kept connection", NEW: "A new connection: connect, ask, close"}


@dataclass(frozen=True, slots=True)
class Total:
    """The rungs of one way added up, and the whole. Units: microseconds."""

    sum: Interval
    whole: Interval
    left_over: Interval  # of the whole, beyond the sum

    @property
    def part(self) -> float:
        """Give what is left over as a part of the whole."""
        return self.left_over.estimate / self.whole.estimate


@dataclass(frozen=True)
class Climbed:
    """What was measured, the rungs that it is of, and their proofs."""

    measured: Measured
    edges: Sequence[Edge]
    proofs: Mapping[str, str]

    @cached_property
    def _blocks(self) -> dict[frozenset[str], set[int]]:
        """Give the numbers of blocks by the arms in them."""
        own = estimate.grouped(self.measured.windows, lambda window: window.block)
        arms = {block: frozenset(window.arm for window in of) for block, of in own.items()}
        return {of: {block for block in arms if arms[block] == of} for of in {*arms.values()}}

    def way(self, way: str) -> list[Edge]:
        """Give the rungs of a way."""
        return [edge for edge in self.edges if edge.way == way]

    def extra(self, edge: Edge, kind: str, of: Quantity, beside: Edge | None = None) -> Interval:
        """Give what a rung adds, in the blocks of its way or of the one `beside`.

        Raises: CannotTell as `shift`.
        """
        all_ = frozenset(arm(p, k) for p in places(beside or edge, self.edges) for k in KINDS)
        numbers = self._blocks.get(all_, set())
        upper, lower = (
            [w for w in self.measured.arms.get(arm(place, kind), []) if w.block in numbers]
            for place in (edge.upper, edge.lower)
        )
        return estimate.shift(estimate.blocks(upper, lower, of.of, mean=statistics.fmean))

    def total(self, way: str, kind: str, of: Quantity) -> Total:
        """Add the rungs of a way up, and compare with the whole, which is measured for itself.

        What disturbs a place is in two rungs and cancels, so the sum is as uncertain as its ends
        are. Raises: CannotTell as `shift`.
        """
        rungs = self.way(way)
        whole, ends = (self.extra(WHOLE, kind, of, beside) for beside in (None, rungs[0]))
        sum_ = _around(math.fsum(self.extra(rung, kind, of).estimate for rung in rungs), [ends])
        return Total(sum_, whole, _around(whole.estimate - sum_.estimate, (whole, sum_)))


def _around(estimate: float, parts: Iterable[Interval]) -> Interval:
    half = math.hypot(*((part.high - part.low) / 2 for part in parts))
    return Interval(estimate, estimate - half, estimate + half)


def tables(climbed: Climbed) -> Iterator[str]:
    """Draw both kinds of requests, and the rungs beside the ladder."""
    ways = {way: {edge.rung: edge for edge in climbed.way(way)} for way in (UP, DOWN, SIDE)}

    def cells(edge: Edge | None, kind: str) -> list[str]:
        return [_cell(climbed.extra(edge, kind, of)) if edge else "" for of in QUANTITIES]

    for kind in KINDS:
        rows = [
            [
                rung,
                *cells(ways[UP].get(rung), kind),
                *cells(ways[DOWN].get(rung), kind),
                climbed.proofs.get(rung, ""),
            ]
            for rung in {**ways[UP], **ways[DOWN]}
        ]
        if WHOLE in climbed.edges:
            totals = [climbed.total(way, kind, of) for way in (UP, DOWN) for of in QUANTITIES]
            rows += [
                ["sum", *(_cell(each.sum) for each in totals), ""],
                ["whole", *(_cell(each.whole) for each in totals), ""],
                ["left over", *(_cell(each.left_over) for each in totals), ""],
                ["of the whole", *(f"{signed(each.part * 100, 1)}%" for each in totals), ""],
            ]
        head = ["extra µs", "up: CPU", "time", "down: CPU", "time", "proof"]
        yield f"{_TITLES[kind]}:\n{columns(head, rows, rule=True)}"
    rows = [
        [
            f"{edge.rung} / {edge.lower.removeprefix('Docker ')}",
            *cells(edge, KEPT),
            *cells(edge, NEW),
        ]
        for edge in ways[SIDE].values()
    ]
    head = ["beside it, extra µs", "kept: CPU", "time", "new: CPU", "time"]
    yield columns(head, rows, rule=True) if rows else ""
    measured_here = {edge.rung for edge in climbed.edges}
    adds = [[layer.name, layer.adds] for layer in LAYERS if layer.name in measured_here]
    yield columns(["rung", "what it adds"], adds, rule=True)


def _cell(of: Interval) -> str:
    half = (of.high - of.low) / 2
    digits = 0 if max(abs(of.estimate), half) >= 100 else 1
    return f"{signed(of.estimate, digits)} ±{half:.{digits}f}"


def fields(climbed: Climbed) -> dict[str, Any]:
    """Give the ladder's fields of the JSON document. Its keys are relied upon."""
    cases = [(kind, of) for kind in KINDS for of in QUANTITIES]
    rungs = [
        {
            **asdict(edge),
            "proof": climbed.proofs.get(edge.rung, ""),
            "extra_us": {
                f"{kind} {of.name}": asdict(climbed.extra(edge, kind, of)) for kind, of in cases
            },
        }
        for edge in climbed.edges
    ]
    totals = {
        way: {f"{kind} {of.name}": asdict(climbed.total(way, kind, of)) for kind, of in cases}
        for way in (UP, DOWN)
        if WHOLE in climbed.edges and climbed.way(way)
    }
    return {"rungs": rungs, "totals_us": totals}

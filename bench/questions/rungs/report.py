"""Draws the ladder: each rung both ways, the sum of the rungs against the whole; pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.engine import estimate
from bench.engine.arm import Quantity
from bench.engine.estimate import Interval
from bench.engine.measured import Measured
from bench.engine.show import columns, signed
from bench.load.echo import KEPT, NEW
from bench.questions.rungs.course import DOWN, KINDS, LAYERS, SIDE, UP, WHOLE, Edge

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


def extra(measured: Measured, edge: Edge, kind: str, of: Quantity) -> Interval:
    """Give what a rung adds, whatever stalled meanwhile. Raises: CannotTell as `shift`."""
    contrast, arms = edge.contrast(kind), measured.arms
    sides = arms.get(contrast.first, []), arms.get(contrast.second, [])
    return estimate.shift(estimate.blocks(*sides, of.of, mean=statistics.fmean))


def total(measured: Measured, edges: Sequence[Edge], kind: str, of: Quantity) -> Total:
    """Add rungs up, and compare with the whole, which is measured for itself. Raises: as `extra`.

    Each rung has blocks of its own, so their errors are independent: half-widths add as squares.
    """
    whole = extra(measured, WHOLE, kind, of)
    rungs = [extra(measured, edge, kind, of) for edge in edges]
    sum_ = _around(math.fsum(rung.estimate for rung in rungs), rungs)
    return Total(sum_, whole, _around(whole.estimate - sum_.estimate, (whole, sum_)))


def _around(estimate: float, parts: Iterable[Interval]) -> Interval:
    half = math.hypot(*((part.high - part.low) / 2 for part in parts))
    return Interval(estimate, estimate - half, estimate + half)


def tables(measured: Measured, edges: Sequence[Edge], proofs: Mapping[str, str]) -> Iterator[str]:
    """Draw both kinds of requests, and the rungs beside the ladder."""
    ways = {way: {edge.rung: edge for edge in edges if edge.way == way} for way in (UP, DOWN, SIDE)}

    def cells(edge: Edge | None, kind: str) -> list[str]:
        return [_cell(extra(measured, edge, kind, of)) if edge else "" for of in QUANTITIES]

    for kind in KINDS:
        rows = [
            [
                rung,
                *cells(ways[UP].get(rung), kind),
                *cells(ways[DOWN].get(rung), kind),
                proofs.get(rung, ""),
            ]
            for rung in {**ways[UP], **ways[DOWN]}
        ]
        if WHOLE in edges:
            totals = [
                total(measured, list(ways[way].values()), kind, of)
                for way in (UP, DOWN)
                for of in QUANTITIES
            ]
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
    measured_here = {edge.rung for edge in edges}
    adds = [[layer.name, layer.adds] for layer in LAYERS if layer.name in measured_here]
    yield columns(["rung", "what it adds"], adds, rule=True)


def _cell(of: Interval) -> str:
    half = (of.high - of.low) / 2
    digits = 0 if max(abs(of.estimate), half) >= 100 else 1
    return f"{signed(of.estimate, digits)} ±{half:.{digits}f}"


def fields(measured: Measured, edges: Sequence[Edge], proofs: Mapping[str, str]) -> dict[str, Any]:
    """Give the ladder's fields of the JSON document. Its keys are relied upon."""
    cases = [(kind, of) for kind in KINDS for of in QUANTITIES]
    rungs = [
        {
            **asdict(edge),
            "proof": proofs.get(edge.rung, ""),
            "extra_us": {
                f"{kind} {of.name}": asdict(extra(measured, edge, kind, of)) for kind, of in cases
            },
        }
        for edge in edges
    ]
    totals = {
        way: {f"{kind} {of.name}": asdict(total(measured, own, kind, of)) for kind, of in cases}
        for way in (UP, DOWN)
        if WHOLE in edges and (own := [edge for edge in edges if edge.way == way])
    }
    return {"rungs": rungs, "totals_us": totals}

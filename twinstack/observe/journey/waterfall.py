"""A journey as an SVG picture: each world's waterfall below the last, on one scale. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from twinstack.observe.journey.report import KINDS, Journey, JourneyStep
from twinstack.observe.svg import STYLE, Box, document, line, rect, text, tooltip
from twinstack.printable import cut

_ROW, _TOP, _AXIS, _MARGIN = 16, 66, 34, 12
_LABELS, _BARS, _TIMES = 292, 264, 62
_WIDTH = _MARGIN + _LABELS + _BARS + _TIMES
_LEAST_BAR = 1.2
_STYLE = STYLE + (
    "text{font:11px ui-monospace,monospace}.dim{font-size:11px}.grid{stroke:#d5dae1}"
    ".work{fill:#b4530a}.hop{fill:#1769aa}.connect{fill:#6d5bb5}"
    "@media (prefers-color-scheme:dark){.grid{stroke:#333c49}"
    ".work{fill:#f0a35e}.hop{fill:#6db3f2}.connect{fill:#b3a4f0}}"
)


def waterfall(journeys: Sequence[Journey]) -> str:
    """Draw journeys. All bars have one scale; each row gives its microseconds."""
    scale_us = max(journey.total_us for journey in journeys)
    parts: list[str] = []
    top = 0
    for journey in journeys:
        parts += _panel(journey, scale_us, top)
        top += _TOP + len(journey.steps) * _ROW + _AXIS + (2 + 2 * len(journey.rewrites)) * _ROW
    totals = (f"{journey.total_us:,.0f} µs in the {journey.world} world" for journey in journeys)
    return document(
        parts,
        title=f"One request's way: {' and '.join(totals)}",
        height=top,
        width=_WIDTH,
        style=_STYLE,
    )


def _panel(journey: Journey, scale_us: float, top: int) -> list[str]:
    left, rows = _MARGIN, top + _TOP
    axis = rows + len(journey.steps) * _ROW + _AXIS
    title = f"{journey.world} world, {journey.shape}: {journey.total_us:,.0f} µs"
    parts = [
        text(left, top + 20, title, "name"),
        text(left, top + 36, f"GET {journey.url} — {journey.status}", "dim"),
    ]
    at = left
    for kind, words in KINDS:
        parts += [rect(Box(at, top + 45, 10, 10), kind), text(at + 14, top + 54, words, "dim")]
        at += 26 + 7 * len(words)
    for quarter in range(5):
        x = left + _LABELS + quarter * _BARS / 4
        parts.append(line(x, rows - 4, x, axis - _AXIS + 4, "grid"))
        parts.append(text(x, axis - 14, f"{scale_us * quarter / 4:,.0f}", "dim", "middle"))
    for number, step in enumerate(journey.steps):
        parts += _row(step, scale_us, left, rows + number * _ROW)
    heading = "NAT rewrote" if journey.rewrites else "NAT rewrote nothing"
    parts.append(text(left, axis + 6, heading, "dim"))
    for number, rewrite in enumerate(journey.rewrites):
        y = axis + 6 + (1 + 2 * number) * _ROW
        parts.append(text(left, y, f"{rewrite.before_ends}  ({rewrite.after})"))
        parts.append(text(left + 8, y + _ROW, f"to {rewrite.after_ends}  ({rewrite.until})"))
    return parts


def _row(step: JourneyStep, scale_us: float, left: int, top: int) -> list[str]:
    bar = Box(
        x=left + _LABELS + step.at_us / scale_us * _BARS,
        y=top + 2,
        width=max(step.took_us / scale_us * _BARS, _LEAST_BAR),
        height=_ROW - 5,
    )
    right = left + _LABELS + _BARS + _TIMES - 6
    return [
        text(left + 8 * step.depth, top + 11, cut(step.what, 40 - step.depth)),
        rect(bar, step.kind, tooltip(f"{step.stage}: {step.took_us:,.1f} µs"), radius=0),
        text(right, top + 11, f"{step.took_us:,.1f}", "dim", "end"),
    ]

"""A journey as an SVG picture: a waterfall for each world, side by side, on one scale; pure.

It needs nothing else, follows the reader's light or dark scheme, and says in words what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from twinstack.observe.journey.analysis import KINDS, Journey, Kind, Step
from twinstack.printable import cut

_ROW, _TOP, _AXIS, _MARGIN = 16, 66, 34, 12
_LABELS, _BARS, _TIMES = 292, 240, 62
_PANEL = _LABELS + _BARS + _TIMES + _MARGIN
_LEAST = 1.2
_CLASS: dict[Kind, str] = {"hop": "hop", "work": "work", "connect": "open"}
_STYLE = """
svg { color-scheme: light dark; background: #fff; font: 11px ui-monospace, monospace; }
text { fill: #1c2430; } .dim { fill: #5b6675; } .line { stroke: #d5dae1; }
.work { fill: #b4530a; } .hop { fill: #1769aa; } .open { fill: #6d5bb5; }
.title { font-weight: bold; font-size: 13px; }
@media (prefers-color-scheme: dark) {
  svg { background: #14181f; } text { fill: #e6e9ee; } .dim { fill: #9aa5b4; }
  .line { stroke: #333c49; } .work { fill: #f0a35e; } .hop { fill: #6db3f2; }
  .open { fill: #b3a4f0; }
}
"""


def svg(found: Sequence[Journey]) -> str:
    """Draw journeys. Bars of all have one scale; each row says its microseconds."""
    most = max(one.total_us for one in found)
    rows = max(len(one.steps) for one in found)
    axis = _TOP + rows * _ROW + _AXIS
    notes = max(len(one.rewrites) for one in found)
    width, height = _PANEL * len(found) + _MARGIN, axis + (1 + 2 * notes) * _ROW
    title = " and ".join(f"{one.total_us:,.0f} µs in the {one.world} world" for one in found)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>One request's way: {escape(title)}</title>",
        f"<style>{_STYLE}</style>",
    ]
    for number, one in enumerate(found):
        lines += _panel(one, most, _MARGIN + number * _PANEL, axis)
    return "\n".join([*lines, "</svg>", ""])


def _panel(found: Journey, most: float, left: int, axis: int) -> list[str]:
    lines = [
        _text(left, 20, f"{found.world} world, {found.shape}: {found.total_us:,.0f} µs", "title"),
        _text(left, 36, f"GET {found.url} — {found.status}", "dim"),
    ]
    at = left
    for kind, words in KINDS:
        lines.append(f'<rect class="{_CLASS[kind]}" x="{at}" y="45" width="10" height="10"/>')
        lines.append(_text(at + 14, 54, words, "dim"))
        at += 26 + 7 * len(words)
    bars = left + _LABELS
    for part in range(5):
        x = bars + part * _BARS / 4
        lines.append(f'<path class="line" d="M{x:.1f},{_TOP - 4} V{axis - _AXIS + 4}"/>')
        lines.append(_text(x, axis - 14, f"{most * part / 4:,.0f}", "dim", "middle"))
    for number, one in enumerate(found.steps):
        lines += _row(one, most, left, _TOP + number * _ROW)
    said = "NAT rewrote nothing" if not found.rewrites else "NAT rewrote"
    lines.append(_text(left, axis + 6, said, "dim"))
    for number, rewrite in enumerate(found.rewrites):
        top = axis + 6 + (2 * number + 1) * _ROW
        lines.append(_text(left, top, f"{rewrite.before_ends}  ({rewrite.after})"))
        lines.append(_text(left + 8, top + _ROW, f"to {rewrite.after_ends}  ({rewrite.until})"))
    return lines


def _row(one: Step, most: float, left: int, top: int) -> list[str]:
    x = left + _LABELS + one.at_us / most * _BARS
    wide = max(one.took_us / most * _BARS, _LEAST)
    right = left + _LABELS + _BARS + _TIMES - 6
    size = f'x="{x:.2f}" y="{top + 2}" width="{wide:.2f}" height="{_ROW - 5}"'
    says = f"{escape(one.stage)}: {one.took_us:,.1f} µs"
    return [
        _text(left + 8 * one.depth, top + 11, cut(one.what, 40 - one.depth)),
        f'<rect class="{_CLASS[one.kind]}" {size}><title>{says}</title></rect>',
        _text(right, top + 11, f"{one.took_us:,.1f}", "dim", "end"),
    ]


def _text(x: float, y: float, words: str, style: str = "", anchor: str = "start") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text{named} x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'

"""The strokes of which pictures in SVG are made; pure.

Every text is escaped, whoever named the thing; colours follow the reader's light or dark scheme.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

WIDTH, MARGIN = 960, 16
BOX_WIDTH, BOX_HEIGHT = 200, 66

STYLE = """
.paper{fill:#fff}.band{fill:#f3f5f8;stroke:#c8d0da}.box{fill:#fff;stroke:#56657a}
.door{fill:#fff4e0;stroke:#b3700e}.bridge{stroke:#1f6fb2;stroke-width:5}.wire{stroke:#56657a}
.flow{fill:none;stroke:#56657a;stroke-width:1.4}.head{fill:#56657a}.way{stroke:#b3700e}
text{font:12px system-ui,sans-serif;fill:#1d2733}.name{font-weight:700;font-size:13px}
.dim{fill:#56657a;font-size:11px}.title{paint-order:stroke;stroke:#f3f5f8;stroke-width:6px}
@media (prefers-color-scheme:dark){
.paper{fill:#12161c}.band{fill:#1a2029;stroke:#374252}.box{fill:#232b37;stroke:#8d9bb0}
.door{fill:#3a2c14;stroke:#e0a548}.bridge{stroke:#64aee6}.wire,.flow{stroke:#8d9bb0}
.head{fill:#8d9bb0}.way{stroke:#e0a548}text{fill:#e7ecf3}.dim{fill:#a3b0c2}
.title{stroke:#1a2029}}
""".replace("\n", "")


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle by its left upper corner."""

    x: float
    y: float
    width: float = BOX_WIDTH
    height: float = BOX_HEIGHT

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


def lines(box: Box, words: Iterable[str]) -> list[str]:
    """Write lines into a box, the first as its name."""
    return [
        text(box.middle, box.y + 20 + 17 * row, "dim" if row else "name", line, "middle")
        for row, line in enumerate(words)
    ]


def rect(box: Box, kind: str) -> str:
    """Draw a box."""
    return (
        f'<rect class="{kind}" x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" '
        f'height="{box.height:.0f}" rx="6"/>'
    )


def text(x: float, y: float, kind: str, words: str, anchor: str = "start") -> str:
    """Write a text."""
    return (
        f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """Draw a straight line."""
    return f'<line class="{kind}" x1="{x1:.0f}" x2="{x2:.0f}" y1="{y1:.0f}" y2="{y2:.0f}"/>'


def path(way: str, kind: str = "flow") -> str:
    """Draw a line that ends in an arrow's head."""
    return f'<path class="{kind}" d="{way}" marker-end="url(#head)"/>'


def svg(height: float, title: str, parts: Iterable[str], style: str = STYLE) -> str:
    """Give the whole picture, on its paper."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'role="img"><title>{escape(title)}</title><style>{style}</style>'
    )
    marker = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path class="head" d="M0 0L8 4L0 8z"/></marker>'
        "</defs>"
    )
    paper = f'<rect class="paper" width="{WIDTH}" height="{height:.0f}" rx="8"/>'
    return "\n".join([head, marker, paper, *parts, "</svg>", ""])

"""SVG elements as text: every picture of the project is drawn with these. Pure.

Text is escaped wherever it came from; colours follow the reader's light or dark scheme.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

WIDTH, MARGIN = 960, 16
BOX_WIDTH, BOX_HEIGHT = 200, 66

#: The classes (`kind`) that all pictures share; a drawer appends rules for its own.
STYLE = """
.paper{fill:#fff}.band{fill:#f3f5f8;stroke:#c8d0da}.box{fill:#fff;stroke:#56657a}
.port{fill:#fff4e0;stroke:#b3700e}.bridge{stroke:#1f6fb2;stroke-width:5}.wire{stroke:#56657a}
.flow{fill:none;stroke:#56657a;stroke-width:1.4}.head{fill:#56657a}.entry{stroke:#b3700e}
text{font:13px system-ui,sans-serif;fill:#1d2733}.name{font-weight:700;font-size:13px}
.dim{fill:#56657a;font-size:12px}.title{paint-order:stroke;stroke:#f3f5f8;stroke-width:6px}
@media (prefers-color-scheme:dark){
.paper{fill:#12161c}.band{fill:#1a2029;stroke:#374252}.box{fill:#232b37;stroke:#8d9bb0}
.port{fill:#3a2c14;stroke:#e0a548}.bridge{stroke:#64aee6}.wire,.flow{stroke:#8d9bb0}
.head{fill:#8d9bb0}.entry{stroke:#e0a548}text{fill:#e7ecf3}.dim{fill:#a3b0c2}
.title{stroke:#1a2029}}
""".replace("\n", "")

_ARROW_HEAD = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path class="head" d="M0 0L8 4L0 8z"/></marker></defs>'
)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle by its upper left corner."""

    x: float
    y: float
    width: float = BOX_WIDTH
    height: float = BOX_HEIGHT

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height


def element(tag: str, content: str = "", **attributes: str | float) -> str:
    """Write an element. `content` is markup; attributes are escaped, and left out when empty.

    `kind` is the class; an underscore stands for a hyphen (text_anchor).
    """
    written = "".join(
        f' {"class" if name == "kind" else name.replace("_", "-")}="{_value(value)}"'
        for name, value in attributes.items()
        if value != ""
    )
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def _value(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else f"{round(value, 1):g}"


def rect(box: Box, kind: str, content: str = "", radius: float = 6) -> str:
    """Draw a box; `content` may be its tooltip."""
    size = {"x": box.x, "y": box.y, "width": box.width, "height": box.height, "rx": radius}
    return element("rect", content, kind=kind, **size)


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Write one line. `anchor`: what of it is at x: start, middle or end."""
    return element("text", escape(words, quote=False), kind=kind, x=x, y=y, text_anchor=anchor)


def text_in(box: Box, lines: Iterable[str]) -> list[str]:
    """Write centred lines into a box, the first as its name."""
    return [
        text(box.middle, box.y + 20 + 17 * row, line, "dim" if row else "name", "middle")
        for row, line in enumerate(lines)
    ]


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """Draw a straight line."""
    return element("line", kind=kind, x1=x1, x2=x2, y1=y1, y2=y2)


def arrow(data: str, kind: str = "flow") -> str:
    """Draw path data as a line that ends in an arrow's head."""
    return element("path", kind=kind, d=data, marker_end="url(#head)")


def curve(x1: float, y1: float, x2: float, y2: float, bend_y: float | None = None) -> str:
    """Give the path data of a curve that leaves and arrives upright.

    `bend_y` is the height of its control points; half way between the ends by default.
    """
    y = (y1 + y2) / 2 if bend_y is None else bend_y
    return "M{} {}C{} {} {} {} {} {}".format(*map(_value, (x1, y1, x1, y, x2, y, x2, y2)))


def document(
    parts: Iterable[str], title: str, height: float, width: float = WIDTH, style: str = STYLE
) -> str:
    """Write a whole file: its title, which screen readers announce, and its parts on paper."""
    view = f"0 0 {_value(width)} {_value(height)}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" role="img">'
    paper = element("rect", kind="paper", width=width, height=height, rx=8)
    head += f"{tooltip(title)}<style>{style}</style>"
    return "\n".join([head, _ARROW_HEAD, paper, *parts, "</svg>", ""])


def tooltip(words: str) -> str:
    """Title an element: shown while the pointer rests on it."""
    return f"<title>{escape(words, quote=False)}</title>" if words else ""

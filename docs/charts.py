"""Draw kept results for the pages: a comparison, the seed's gap, the race of `check.scale`; pure.

`docs/figures.py` writes them beside the figures, of the same results. A sheet has a heading, its
charts one below the other, each with its caption at the left, and when and where it was measured.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from bench.engine.page import Drawing, estimates
from twinstack.observe.svg import Box, document, element, line, rect, text, tooltip
from twinstack.software.configs import TEMPLATES, templates_in

WIDTH, _MARGIN = 736, 16
_CAPTION = 176  # the column of captions
_CHART = WIDTH - 2 * _MARGIN - _CAPTION
_LINE, _LETTER, _BOLD = 17, 7.2, 8.2  # px; a letter is a little less
_ROW, _HEAD = 22, 30
#: Of the race: the axis, and the places of names and figures.
_LOW_MS, _HIGH_MS = 8.0, 100_000.0
_NAMES, _FIGURES = 96, 132


def comparison(result: Mapping[str, Any], measured: str) -> str:
    """Draw every contrast of a result, and where the first one's difference goes."""
    return sheet(result["sentence"], estimates(result), measured)


def gap(result: Mapping[str, Any], measured: str) -> str:
    """Draw what each cause of the seed's gap is worth."""
    title = "Namespaces over Docker, requests per second, as the seed measured them"
    return sheet(title, list(estimates(result))[:1], measured)


def race(result: Mapping[str, Any], measured: str) -> str:
    """Draw how long each contender took up and down, at each size. Units: milliseconds."""
    drawing = Drawing(
        "Up and down",
        _race(result["result"]["rows"]),
        "Medians, and from the fastest to the slowest round. The axis is logarithmic: each line "
        "is ten times the one before. The floor makes the same by the fewest system calls known to "
        "us; Mininet makes no rules.",
    )
    title = "Namespaces with their links, addresses and rules: up, and down again"
    return sheet(title, [drawing], measured)


def sheet(title: str, drawings: Iterable[Drawing], measured: str) -> str:
    """Lay charts out below each other."""
    parts, top = [], 12.0
    for words in _wrapped(title, WIDTH - 2 * _MARGIN, _BOLD):
        top += _LINE
        parts.append(text(_MARGIN, top, words, "name"))
    top += 18
    for drawing in drawings:
        name = _wrapped(drawing.title, _CAPTION, _BOLD)
        caption = _wrapped(drawing.caption, _CAPTION)
        for number, words in enumerate([*name, *caption], start=1):
            kind = "name" if number <= len(name) else "dim"
            parts.append(text(_MARGIN, top + _LINE * number, words, kind))
        chart, height = _placed(drawing.svg, _MARGIN + _CAPTION, top)
        parts.append(chart)
        top += max(height, _LINE * (len(name) + len(caption)) + 8) + 22
    for words in _wrapped(measured, WIDTH - 2 * _MARGIN):
        parts.append(text(_MARGIN, top, words, "dim"))
        top += _LINE
    style = templates_in(TEMPLATES).get_template("charts.css.j2").render()
    return document(parts, title, top, WIDTH, f".paper{{fill:var(--paper)}}\n{style}")


def _placed(chart: str, x: float, y: float) -> tuple[str, float]:
    """Place a drawing on a sheet, and give its height there."""
    wide, high = map(float, re.findall(r'viewBox="0 0 (\S+) (\S+?)"', chart)[0])
    height = high * _CHART / wide
    place = f'x="{x:g}" y="{y:g}" width="{_CHART:g}" height="{height:.1f}"'
    return chart.replace("<svg ", f"<svg {place} ", 1), height


def _wrapped(words: str, width: float, letter: float = _LETTER) -> list[str]:
    return textwrap.wrap(words, int(width / letter), break_long_words=False)


def _race(rows: Sequence[Mapping[str, Any]]) -> str:
    height = sum(
        _HEAD + _ROW * len(list(own)) for _, own in groupby(rows, lambda row: int(row["size"]))
    )
    parts = list(_decades(height))
    top = 0.0
    for size, own in groupby(rows, lambda row: int(row["size"])):
        parts.append(text(0, top + 20, f"{size:,} namespaces", "name"))
        top += _HEAD
        for row in own:
            parts += _contender(row, top + 11)
            top += _ROW
    for number, word in enumerate(("up", "down")):
        x = _NAMES + 70 * number
        parts.append(_mark(number, x, height + 39))
        parts.append(text(x + 10, height + 43, word))
    title = "How long each contender took, by the number of namespaces"
    view = f"0 0 {_CHART} {height + 52:g}"
    style = ".phase0{fill:var(--c0)}.phase1{fill:var(--c1)}"
    content = "\n".join([tooltip(title), element("style", style), *parts])
    return element("svg", content, role="img", viewBox=view)


def _contender(row: Mapping[str, Any], y: float) -> Iterator[str]:
    up, down = row["up"], row["down"]
    yield text(8, y + 4, str(row["name"]), "dim")
    for number, phase in enumerate((up, down)):
        yield line(_at(phase["minimum"]), y, _at(phase["maximum"]), y, "whisker")
        yield _mark(number, _at(phase["median"]), y)
    words = f"{_duration(up['median'])}, {_duration(down['median'])}"
    yield text(_CHART - 4, y + 4, words, "figure", "end")


def _mark(number: int, x: float, y: float) -> str:
    """Mark the first phase by a circle, the second by a square."""
    if number:
        return rect(Box(x - 4.5, y - 4.5, 9, 9), "phase1", radius=1)
    return element("circle", kind="phase0", cx=x, cy=y, r=5)


def _decades(height: float) -> Iterator[str]:
    for power in range(1, 6):
        x = _at(10.0**power)
        yield line(x, 0, x, height + 4, "axis")
        yield text(x, height + 18, _duration(10.0**power), "dim", "middle")


def _at(ms: float) -> float:
    room = _CHART - _NAMES - _FIGURES
    return _NAMES + room * math.log(ms / _LOW_MS) / math.log(_HIGH_MS / _LOW_MS)


def _duration(ms: float) -> str:
    if ms < 1000:
        return f"{ms:.3g} ms"
    return f"{ms / 1000:.1f} s" if ms < 10_000 else f"{ms / 1000:.0f} s"

"""The charts of a result as SVG: forest, waterfalls, windows over time, distributions; pure.

All are drawn 480 wide, so that their letters stay readable on a telephone. The forest shades what
is of no consequence; a hollow point is one that its adjusted p-value leaves open.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.engine.arm import BUSY_PART, CPU, RATE, Window
from bench.engine.show import figure, signed
from twinstack.observe.svg import Box, element, line, rect, text, tooltip
from twinstack.printable import cut
from twinstack.statistics.estimate import MARGIN, OPEN_P, grouped

WIDTH = 480
_LEFT, _RIGHT = 8.0, WIDTH - 8.0
_ROW, _HEAD, _AXIS, _STRIP, _CURVES, _LEGEND = 38.0, 26.0, 24.0, 78.0, 200.0, 20.0
_ENDS = ("low", "estimate", "high")
_MIDDLE_FIRST = ("estimate", "low", "high")
#: Changes that an axis of ratios may name, where there is room. Units: %.
_PERCENTS = "0 3 -3 5 -5 10 -10 20 -20 50 -50 100 -75 200 -90 400 900 -99 1e4 1e6"
_ROOM = 44.0
#: Arms differ by colour and by dashes.
COLOURS = 8

Ticks = Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to places from left to right, with a little room at both ends."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Iterable[float]) -> Axis:
        ordered = sorted(values)
        room = (ordered[-1] - ordered[0]) * 0.03
        return cls(ordered[0] - room, ordered[-1] + room)

    def at(self, value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (value - self.low) / ((self.high - self.low) or 1.0)

    def round_values(self) -> list[float]:
        """Give round values to name, at most seven."""
        rough = (self.high - self.low) / 6 or 1.0
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [number * step for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Row:
    """One estimate with its interval, in the axis' units; without one it is a heading."""

    label: str
    said: str = ""
    span: tuple[float, ...] = ()  # low, estimate, high
    kind: str = "point"  # "point open"; of a waterfall's bar "bar", "bar less", "bar all"
    start: float = 0.0  # where a bar begins
    bounds: tuple[float, ...] = ()


def forest(document: Mapping[str, Any]) -> str:
    """Draw every contrast's ratios, with the zone that is of no consequence."""
    nouns = {each["name"]: each["noun"] for each in document["quantities"]}
    rows = []
    for contrast in document["contrasts"]:
        title = contrast["title"] or f"{contrast['first']} over {contrast['second']}"
        rows.append(Row(title))
        for name, ratio in contrast["ratios"].items():
            kind = "point" if ratio["adjusted_p"] < OPEN_P else "point open"
            bounds = tuple(
                math.log(bound["limit"])
                for bound in document["bounds"]
                if (bound["contrast"], bound["quantity"]) == (title, name)
            )
            said = _interval({end: 100 * (ratio[end] - 1) for end in _ENDS}, "%")
            span = tuple(math.log(ratio[end]) for end in _ENDS)
            rows.append(Row(nouns[name], said, span, kind, bounds=bounds))
    zone = math.log1p(MARGIN)
    axis = Axis.around(x for row in rows for x in (-zone, zone, *row.span, *row.bounds))
    named = (
        (math.log1p(percent / 100), f"{signed(percent, 0)} %" if percent else "same")
        for percent in map(float, _PERCENTS.split())
    )
    ticks = _with_room(named, axis)
    shade = Box(axis.at(-zone), 0, axis.at(zone) - axis.at(-zone), _height(rows))
    drawn = [rect(shade, "zone", tooltip("of no consequence"), 0)]
    return _rows(rows, axis, ticks, "Ratios of all contrasts with their intervals", drawn)


def waterfall(contrast: Mapping[str, Any]) -> str:
    """Draw where the first arm's extra CPU time goes, part by part. Units: µs a request.

    A part that with its interval is less than a hundredth of the largest has no row.
    """
    ledger, services = contrast["ledger"], contrast.get("services", {})
    whole = sum(of["estimate"] for of in services.values())
    if services and math.isclose(whole, ledger["services"]["estimate"], abs_tol=0.05):
        ledger = {**services, **{part: of for part, of in ledger.items() if part != "services"}}
    rows, reached = [], 0.0
    least = max(0.05, 0.01 * max(abs(of[end]) for of in ledger.values() for end in _ENDS))
    for part, of in ledger.items():
        if part != "all" and max(map(abs, of.values())) < least:
            continue
        start = 0.0 if part == "all" else reached
        kind = "bar all" if part == "all" else "bar less" if of["estimate"] < 0 else "bar"
        span = tuple(start + of[end] for end in _ENDS)
        rows.append(Row(part, _interval(of, "µs"), span, kind, start))
        reached += of["estimate"]
    axis = Axis.around(x for row in rows for x in (-1, 1, row.start, *row.span))
    ticks = [(x, f"{x:+g}".replace("-", "−") if x else "0") for x in axis.round_values()]
    return _rows(rows, axis, ticks, "Extra CPU time per request by part, in microseconds")


def shares(found: Mapping[str, Mapping[str, float]]) -> str:
    """Draw a gap as the steps that lead from the whole of it, the first, to the last, what is left.

    Units: the logarithm of a ratio.
    """
    whole, *causes, left = found
    rows, reached = [], found[whole]["estimate"]
    for name, of in found.items():
        said = "×{:.2f} [{:.2f}, {:.2f}]".format(*(math.exp(of[end]) for end in _MIDDLE_FIRST))
        if name in causes:
            low, middle, high = (reached - of[end] for end in reversed(_ENDS))
            kind = "bar less" if of["estimate"] > 0 else "bar"
            rows.append(Row(name, said, (low, middle, high), kind, reached))
            reached = middle
        else:
            rows.append(Row(name, said, tuple(of[end] for end in _ENDS), "bar all"))
    axis = Axis.around(x for row in rows for x in (0.0, row.start, *row.span))
    factors = (1.0, *(step / 10 * 10**power for power in (0, -1, 1) for step in range(11, 100)))
    ticks = _with_room(((math.log(factor), f"×{factor:.3g}") for factor in factors), axis)
    return _rows(rows, axis, ticks, f"From {whole} to {left}, cause by cause")


def _with_room(ticks: Iterable[tuple[float, str]], axis: Axis) -> Ticks:
    """Choose, the first ones first, what is on the axis and has room for its words."""
    chosen: list[tuple[float, str]] = []
    for value, words in ticks:
        if axis.low <= value <= axis.high and all(
            abs(axis.at(value) - axis.at(other)) > _ROOM for other, _ in chosen
        ):
            chosen.append((value, words))
    return chosen


def _interval(of: Mapping[str, float], unit: str) -> str:
    low, middle, high = (signed(of[end], 1) for end in _ENDS)
    return f"{middle} {unit} [{low}, {high}]"


def _height(rows: Sequence[Row]) -> float:
    return 4 + sum(_ROW if row.span else _HEAD for row in rows)


def _rows(
    rows: Sequence[Row], axis: Axis, ticks: Ticks, title: str, below: Iterable[str] = ()
) -> str:
    """Draw rows below each other: a line of words, and below it the interval."""
    height, top = _height(rows), 4.0
    zero = line(axis.at(0), 0, axis.at(0), height, "zero")
    parts = [*below, *_ticks(axis, ticks, height), zero]
    for row in rows:
        if not row.span:
            parts.append(text(_LEFT, top + 18, cut(row.label, 62), "name"))
            top += _HEAD
            continue
        parts.append(text(_LEFT, top + 13, cut(row.label, 38), "dim"))
        parts.append(text(_RIGHT, top + 13, row.said, "figure", "end"))
        parts += _estimate(row, axis, top + 27)
        top += _ROW
    return _drawing(parts, height + _AXIS, title)


def _estimate(row: Row, axis: Axis, y: float) -> Iterator[str]:
    low, middle, high = map(axis.at, row.span)
    if row.kind.startswith("bar"):
        begin = axis.at(row.start)
        yield rect(Box(min(begin, middle), y - 5, max(abs(middle - begin), 1), 10), row.kind, "", 2)
    yield line(low, y, high, y, "whisker")
    for bound in row.bounds:
        yield line(axis.at(bound), y - 9, axis.at(bound), y + 9, "bound")
    if row.kind.startswith("point"):
        yield element("circle", kind=row.kind, cx=middle, cy=y, r=4.5)


def _ticks(axis: Axis, ticks: Ticks, height: float) -> Iterator[str]:
    for value, words in ticks:
        x = axis.at(value)
        yield line(x, 0, x, height, "axis")
        anchor = "start" if x < 30 else "end" if x > WIDTH - 30 else "middle"
        yield text(x, height + 15, words, "dim", anchor)


def over_time(windows: Sequence[Window], cores: int) -> str:
    """Draw each arm's windows in their order, all on one scale of ratios to the arm's median.

    Drawn is CPU time per request; the rate where that has no ratios. Deployments are shaded by
    turns; a busy window is a square.
    """
    of = CPU if all(window.cpu > 0 for window in windows) else RATE
    axis = Axis(-0.5, len(windows) - 0.5)
    arms = grouped(enumerate(windows), lambda item: item[1].arm)
    medians = {arm: statistics.median(of.of(w) for _, w in own) for arm, own in arms.items()}
    logs = [math.log(of.of(window) / medians[window.arm]) for window in windows]
    span, top, height = max(0.01, *map(abs, logs)), 22.0, 22 + len(arms) * _STRIP
    parts = []
    numbers = [window.deployment for window in windows]
    for number in sorted(set(numbers)):
        first = numbers.index(number)
        left, right = axis.at(first - 0.5), axis.at(first + numbers.count(number) - 0.5)
        shade = Box(left, 0, right - left, height)
        kind = "shade" if number % 2 else "unshaded"
        parts.append(rect(shade, kind, tooltip(f"deployment {number}"), 0))
        parts += [text(shade.middle, 14, str(number), "dim", "middle")] * (right - left > 18)
    for arm, own in arms.items():
        middle = top + 47
        parts += _named(top + 14, arm, f"median {figure(medians[arm])} {of.unit}")
        parts.append(line(_LEFT, middle, _RIGHT, middle, "axis"))
        for kind, busy in (("dots", False), ("dots busy", True)):
            dots = "".join(
                f"M{axis.at(x):.1f} {middle - logs[x] / span * 27:.1f}h0"
                for x, window in own
                if (window.busy(cores) > BUSY_PART) == busy
            )
            parts += [element("path", kind=kind, d=dots)] if dots else []
        top += _STRIP
    reach = f"{of.noun}; strips reach {signed(100 * math.expm1(span), 0)} % of medians"
    parts.append(text(_LEFT, top + 14, reach, "dim"))
    return _drawing(parts, height + 20, f"{of.noun} of each window, in order")


def ecdf(windows: Sequence[Window]) -> str:
    """Draw which part of each arm's windows had at most a rate. Units: requests per second."""
    arms = grouped(windows, lambda window: window.arm)
    rates = {arm: sorted(window.rate for window in own) for arm, own in arms.items()}
    axis = Axis.around(window.rate for window in windows)
    ticks = [(value, f"{value:,g}") for value in axis.round_values()]
    parts = [line(_LEFT, y, _RIGHT, y, "axis") for y in (8, _CURVES / 2 + 4, _CURVES)]
    parts += _ticks(axis, ticks, _CURVES)
    y = _CURVES + _AXIS + 16
    for number, (arm, own) in enumerate(rates.items()):
        kind = f"curve a{number % COLOURS}"
        data = f"M{axis.at(own[0]):.1f} {_CURVES}"
        for count, rate in enumerate(own, start=1):
            data += f"H{axis.at(rate):.1f}V{_CURVES - (_CURVES - 8) * count / len(own):.1f}"
        parts.append(element("path", tooltip(arm), kind=kind, d=f"{data}H{_RIGHT}"))
        parts.append(element("path", kind=kind, d=f"M{_LEFT} {y - 4}h28"))
        parts += _named(y, arm, f"median {figure(statistics.median(own))}/s", _LEFT + 36)
        y += _LEGEND
    return _drawing(parts, y - 6, "Distribution of the rates of each arm's windows")


def _named(y: float, arm: str, said: str, x: float = _LEFT) -> list[str]:
    return [text(x, y, cut(arm, 40), "name"), text(_RIGHT, y, said, "figure", "end")]


def _drawing(parts: Iterable[str], height: float, title: str) -> str:
    content = "\n".join([tooltip(title), *parts])
    return element("svg", content, role="img", viewBox=f"0 0 {WIDTH} {height:g}")

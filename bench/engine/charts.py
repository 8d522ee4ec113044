"""The charts of a result as SVG: forest, waterfall, windows over time, distributions; pure.

All are drawn 480 wide, so that their letters stay readable on a telephone. The forest shades what
is of no consequence; a hollow point is one that its adjusted p-value leaves open.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.engine.arm import BUSY_PART, CPU, RATE, Window
from bench.engine.estimate import MARGIN, OPEN_P, grouped
from bench.engine.show import figure, signed
from twinstack.observe.svg import Box, element, line, rect, text, tooltip
from twinstack.printable import cut

WIDTH = 480
_LEFT, _RIGHT = 8.0, WIDTH - 8.0
_ROW, _HEAD, _AXIS = 38.0, 26.0, 24.0
_STRIP, _CURVES, _LEGEND = 54.0, 200.0, 20.0
_LETTERS = 62
#: Changes that an axis of ratios may name. Units: %.
_PERCENTS = (
    0,
    3,
    -3,
    5,
    -5,
    10,
    -10,
    20,
    -20,
    50,
    -50,
    100,
    -75,
    200,
    -90,
    400,
    900,
    -99,
    1e4,
    1e6,
)
_LEAST_GAP = 44.0
#: Arms differ by colour and by dashes.
COLOURS = 8


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to places from left to right."""

    low: float
    high: float

    def at(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        return _LEFT + (_RIGHT - _LEFT) * min(max((value - self.low) / span, 0.0), 1.0)

    def ticks(self) -> list[float]:
        """Give round values to name, at most seven."""
        rough = (self.high - self.low) / 6 or 1.0
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        first = math.ceil(self.low / step)
        return [number * step for number in range(first, math.floor(self.high / step) + 1)]


@dataclass(frozen=True, slots=True)
class Row:
    """One estimate with its interval, in the axis' units; without one it is a heading."""

    label: str
    said: str = ""
    span: tuple[float, float, float] | None = None  # low, estimate, high
    kind: str = "point"  # "point open" where it is left open; "bar", "bar less", "bar all"
    start: float | None = None  # where a waterfall's bar begins
    marks: tuple[float, ...] = field(default=())  # bounds


def forest(document: Mapping[str, Any]) -> str:
    """Draw every contrast's ratios, with the zone that is of no consequence."""
    nouns = {each["name"]: each["noun"] for each in document["quantities"]}
    rows: list[Row] = []
    for contrast in document["contrasts"]:
        title = contrast["title"] or f"{contrast['first']} over {contrast['second']}"
        rows.append(Row(title))
        for name, ratio in contrast["ratios"].items():
            ends = [100 * (ratio[end] - 1) for end in ("estimate", "low", "high")]
            kind = "point" if ratio["adjusted_p"] < OPEN_P else "point open"
            low, middle, high = (math.log(ratio[end]) for end in ("low", "estimate", "high"))
            marks = tuple(
                math.log(bound["limit"])
                for bound in document["bounds"]
                if (bound["contrast"], bound["quantity"]) == (title, name)
            )
            said = _interval(ends, "%")
            rows.append(Row(nouns[name], said, (low, middle, high), kind, marks=marks))
    zone = math.log1p(MARGIN)
    axis = _around(rows, (-1.5 * zone, 1.5 * zone))
    ticks: list[tuple[float, str]] = []
    for percent in _PERCENTS:
        value = math.log1p(percent / 100)
        clear = all(abs(axis.at(value) - axis.at(other)) > _LEAST_GAP for other, _ in ticks)
        if axis.low <= value <= axis.high and clear:
            ticks.append((value, f"{signed(percent, 0)} %" if percent else "same"))
    return _rows(rows, axis, ticks, "Ratios of all contrasts with their intervals", zone)


def waterfall(contrast: Mapping[str, Any]) -> str:
    """Draw where the first arm's extra CPU time goes, part by part. Units: µs a request."""
    rows, reached = [], 0.0
    ledger, services = contrast["ledger"], contrast.get("services", {})
    whole = sum(of["estimate"] for of in services.values())
    if services and math.isclose(whole, ledger["services"]["estimate"], abs_tol=0.05):
        ledger = {**services, **{part: of for part, of in ledger.items() if part != "services"}}
    for part, of in ledger.items():
        ends = [of[end] for end in ("estimate", "low", "high")]
        start = 0.0 if part == "all" else reached
        if part != "all" and max(map(abs, ends)) < 0.05:
            continue
        kind = "bar all" if part == "all" else "bar less" if of["estimate"] < 0 else "bar"
        span = (start + of["low"], start + of["estimate"], start + of["high"])
        rows.append(Row(part, _interval(ends, "µs"), span, kind, start))
        reached = 0.0 if part == "all" else reached + of["estimate"]
    axis = _around(rows, (-1.0, 1.0))
    ticks = [(value, f"{value:+g}".replace("-", "−") if value else "0") for value in axis.ticks()]
    return _rows(rows, axis, ticks, "Extra CPU time per request by part, in microseconds")


def _interval(ends: Sequence[float], unit: str) -> str:
    middle, low, high = (signed(end, 1) for end in ends)
    return f"{middle} {unit} [{low}, {high}]"


def _around(rows: Iterable[Row], least: tuple[float, float]) -> Axis:
    ends = [*least]
    for row in rows:
        ends += [*(row.span or ()), *row.marks, *([row.start] if row.start is not None else [])]
    low, high = min(ends), max(ends)
    return Axis(low - (high - low) * 0.03, high + (high - low) * 0.03)


def _rows(
    rows: Sequence[Row],
    axis: Axis,
    ticks: Iterable[tuple[float, str]],
    title: str,
    zone: float | None = None,
) -> str:
    """Draw rows below each other: a line of words, and below it the interval."""
    parts: list[str] = []
    top = 4.0
    for row in rows:
        if row.span is None:
            parts.append(text(_LEFT, top + 18, cut(row.label, _LETTERS), "name"))
            top += _HEAD
            continue
        parts.append(text(_LEFT, top + 13, cut(row.label, 38), "dim"))
        parts.append(text(_RIGHT, top + 13, row.said, "figure", "end"))
        parts += _estimate(row, axis, top + 27)
        top += _ROW
    below = [line(axis.at(value), 0, axis.at(value), top, "axis") for value, _ in ticks]
    if zone is not None:
        box = Box(axis.at(-zone), 0, axis.at(zone) - axis.at(-zone), top)
        below.insert(0, rect(box, "zone", tooltip("of no consequence"), 0))
    below.append(line(axis.at(0), 0, axis.at(0), top, "zero"))
    return _drawing([*below, *parts, *_named(axis, ticks, top)], top + _AXIS, title)


def _estimate(row: Row, axis: Axis, y: float) -> Iterator[str]:
    assert row.span is not None
    low, middle, high = map(axis.at, row.span)
    if row.start is not None:
        begin = axis.at(row.start)
        bar = Box(min(begin, middle), y - 5, max(abs(middle - begin), 1), 10)
        yield rect(bar, row.kind, radius=2)
    yield line(low, y, high, y, "whisker")
    for mark in row.marks:
        yield line(axis.at(mark), y - 9, axis.at(mark), y + 9, "bound")
    if row.start is None:
        yield element("circle", kind=row.kind, cx=middle, cy=y, r=4.5)


def _named(axis: Axis, ticks: Iterable[tuple[float, str]], y: float) -> Iterator[str]:
    for value, words in ticks:
        x = axis.at(value)
        anchor = "start" if x < 30 else "end" if x > WIDTH - 30 else "middle"
        yield text(x, y + 15, words, "dim", anchor)


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
    span = max(0.01, *map(abs, logs))
    top, height = 22.0, 22 + len(arms) * (_STRIP + 24)
    parts = list(_deployments(windows, axis, height))
    for arm, own in arms.items():
        middle = top + 20 + _STRIP / 2
        parts += _named_row(top + 14, arm, f"median {figure(medians[arm])} {of.unit}")
        parts.append(line(_LEFT, middle, _RIGHT, middle, "axis"))
        for kind, busy in (("dots", False), ("dots busy", True)):
            dots = "".join(
                f"M{axis.at(x):.1f} {middle - logs[x] / span * _STRIP / 2:.1f}h0"
                for x, window in own
                if (window.busy(cores) > BUSY_PART) == busy
            )
            parts += [element("path", kind=kind, d=dots)] if dots else []
        top += _STRIP + 24
    reach = f"{of.noun}; strips reach {signed(100 * math.expm1(span), 0)} % of medians"
    parts.append(text(_LEFT, top + 14, reach, "dim"))
    return _drawing(parts, height + 20, f"{of.noun} of each window, in order")


def _named_row(y: float, arm: str, said: str, x: float = _LEFT) -> list[str]:
    return [text(x, y, cut(arm, 40), "name"), text(_RIGHT, y, said, "figure", "end")]


def _deployments(windows: Sequence[Window], axis: Axis, height: float) -> Iterator[str]:
    numbers = [window.deployment for window in windows]
    for number in sorted(set(numbers)):
        first, count = numbers.index(number), numbers.count(number)
        left, right = axis.at(first - 0.5), axis.at(first + count - 0.5)
        words = tooltip(f"deployment {number}")
        kind = "shade" if number % 2 else "unshaded"
        yield rect(Box(left, 0, right - left, height), kind, words, 0)
        if right - left > 18:
            yield text((left + right) / 2, 14, str(number), "dim", "middle")


def ecdf(windows: Sequence[Window]) -> str:
    """Draw which part of each arm's windows had at most a rate. Units: requests per second."""
    arms = grouped(windows, lambda window: window.arm)
    rates = {arm: sorted(window.rate for window in own) for arm, own in arms.items()}
    every = [rate for own in rates.values() for rate in own]
    edge = (max(every) - min(every)) * 0.03
    axis = Axis(min(every) - edge, max(every) + edge)
    ticks = [(value, f"{value:,g}") for value in axis.ticks()]
    parts = [line(axis.at(value), 0, axis.at(value), _CURVES, "axis") for value, _ in ticks]
    parts += [line(_LEFT, y, _RIGHT, y, "axis") for y in (8, _CURVES / 2 + 4, _CURVES)]
    below = _CURVES + _AXIS
    for number, (arm, own) in enumerate(rates.items()):
        kind = f"curve a{number % COLOURS}"
        data = f"M{axis.at(own[0]):.1f} {_CURVES}"
        for count, rate in enumerate(own, start=1):
            data += f"H{axis.at(rate):.1f}V{_CURVES - (_CURVES - 8) * count / len(own):.1f}"
        parts.append(element("path", tooltip(arm), kind=kind, d=f"{data}H{_RIGHT}"))
        y = below + 16 + _LEGEND * number
        parts.append(element("path", kind=kind, d=f"M{_LEFT} {y - 4}h28"))
        parts += _named_row(y, arm, f"median {figure(statistics.median(own))}/s", _LEFT + 36)
    parts += _named(axis, ticks, _CURVES)
    height = below + 10 + _LEGEND * len(rates)
    return _drawing(parts, height, "Distribution of the rates of each arm's windows")


def _drawing(parts: Iterable[str], height: float, title: str) -> str:
    content = "\n".join([tooltip(title), *parts])
    return element("svg", content, role="img", viewBox=f"0 0 {WIDTH} {height:g}")

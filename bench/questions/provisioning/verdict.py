"""What the samples of a race say, beside what was aimed at; pure.

Ratios are of pairs within a round. Six rounds and more give an interval of 95 %, and only the
whole interval decides; of fewer rounds the lowest and the highest ratio are shown in its place,
and both must be on one side.
"""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.engine.estimate import MINIMUM_PAIRS, Ratio, Spread, paired_log_ratios, ratio, spread
from bench.questions.provisioning.contenders import FLOOR, MININET, OURS, SHELL, Figures

Phase = Literal["up", "down"]
Judgement = Literal["holds", "falls short", "cannot tell", "to compare"]
WIDTH = 80
PHASES: tuple[Phase, ...] = ("up", "down")


@dataclass(frozen=True, slots=True)
class Sample:
    """One run. Units: ms; `gone` is `down` and what the kernel took to let go after it."""

    name: str
    size: int
    round: int
    up: Figures
    down: Figures
    gone: float


@dataclass(frozen=True, slots=True)
class Row:
    """One contender of one size. Units: ms; `parts` are medians of what the time went into."""

    name: str
    size: int
    rounds: int
    up: Spread
    down: Spread
    gone: Spread
    parts: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Aim:
    """What is aimed at: a ratio that is at most, or at least, so much."""

    what: str
    numerator: tuple[str, int]
    denominator: tuple[str, int]
    phase: Phase
    limit: float
    at_least: bool = False
    #: Divides the ratio: by it times of different sizes become times a namespace.
    scale: float = 1.0
    #: Shown beside the others, and not to be reached by us.
    shown: bool = False
    #: What is divided: the time that passes, or that of the processors.
    key: str = "total"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An aim beside what was measured; `low` and `high` bound the estimate."""

    aim: Aim
    estimate: float
    low: float
    high: float
    pairs: int
    judgement: Judgement


def aims(sizes: Sequence[int]) -> tuple[Aim, ...]:
    """List what issue 3 aims at, for the sizes that were measured; 8 is shown, not judged."""
    found: list[Aim] = []
    judged = [size for size in sizes if size >= 100]
    for size in judged:
        pair = ((OURS, size), (FLOOR, size))
        found += [
            Aim(f"up, of the floor's, {size}", *pair, "up", 1.5),
            Aim(f"down, of the floor's, {size}", *pair, "down", 1.5),
            Aim(f"up, faster than shell, {size}", (SHELL, size), (OURS, size), "up", 15, True),
            Aim(f"up, faster than Mininet, {size}", (MININET, size), (OURS, size), "up", 10, True),
        ]
        # Of the processors alone: it says the same on a machine that has other things to do.
        for phase in PHASES:
            what = f"CPU of {phase}, of the floor's, {size}"
            found.append(Aim(what, *pair, phase, 1.5, shown=True, key="cpu"))
    if {100, 1000} <= set(judged):
        for name in (OURS, FLOOR):
            what = f"{'up ' if name == OURS else 'floor '}of one, 1,000 to 100"
            shown = name == FLOOR
            found.append(Aim(what, (name, 1000), (name, 100), "up", 1.3, scale=10.0, shown=shown))
    return tuple(found)


def rows(samples: Iterable[Sample]) -> tuple[Row, ...]:
    """Summarise each contender of each size, fastest first."""
    groups: dict[tuple[int, str], list[Sample]] = {}
    for one in samples:
        groups.setdefault((one.size, one.name), []).append(one)
    found = [
        Row(
            name,
            size,
            len(own),
            spread([one.up["total"] for one in own]),
            spread([one.down["total"] for one in own]),
            spread([one.gone for one in own]),
            {"up": _parts(one.up for one in own), "down": _parts(one.down for one in own)},
        )
        for (size, name), own in groups.items()
    ]
    return tuple(sorted(found, key=lambda row: (row.size, row.up.median)))


def judge(samples: Sequence[Sample], wanted: Sequence[Aim], seed: int) -> tuple[Verdict, ...]:
    """Judge each aim that samples speak of. Raises: CannotTell as `statistics.ratio`."""
    found = []
    for aim in wanted:
        firsts, seconds = (_of(samples, *one, aim) for one in (aim.numerator, aim.denominator))
        both = sorted(firsts.keys() & seconds.keys())
        if both:
            paired = ([side[one] for one in both] for side in (firsts, seconds))
            found.append(_judged(aim, next(paired), next(paired), seed))
    return tuple(found)


def _judged(aim: Aim, firsts: Sequence[float], seconds: Sequence[float], seed: int) -> Verdict:
    logs = paired_log_ratios(firsts, seconds)
    if len(logs) >= MINIMUM_PAIRS:
        told: Ratio = ratio(firsts, seconds, seed=seed)
        estimate, low, high = told.estimate, told.low, told.high
    else:
        estimate, low, high = map(math.exp, (statistics.median(logs), min(logs), max(logs)))
    estimate, low, high = (value / aim.scale for value in (estimate, low, high))
    return Verdict(aim, estimate, low, high, len(logs), _decide(aim, low, high))


def _decide(aim: Aim, low: float, high: float) -> Judgement:
    if aim.at_least:
        good, bad = low >= aim.limit, high < aim.limit
    else:
        good, bad = high <= aim.limit, low > aim.limit
    if aim.shown:
        return "to compare"
    return "holds" if good else "falls short" if bad else "cannot tell"


def _of(samples: Iterable[Sample], name: str, size: int, aim: Aim) -> dict[int, float]:
    """Give a contender's figure of each round that told it."""
    own = [one for one in samples if (one.name, one.size) == (name, size)]
    figures = {one.round: (one.up if aim.phase == "up" else one.down).get(aim.key) for one in own}
    return {number: value for number, value in figures.items() if value is not None}


def _parts(figures: Iterable[Figures]) -> dict[str, float]:
    gathered: dict[str, list[float]] = {}
    for one in figures:
        for key, value in one.items():
            gathered.setdefault(key, []).append(value)
    return {key: statistics.median(values) for key, values in gathered.items() if key != "total"}


def code(verdicts: Sequence[Verdict]) -> int:
    """Give the exit code of a check: 1 when an aim is missed, 2 when one is left open."""
    said = {one.judgement for one in verdicts}
    return 1 if "falls short" in said else 2 if "cannot tell" in said or not said else 0


def table(found: Sequence[Row], verdicts: Sequence[Verdict], left_out: dict[str, str]) -> str:
    """Draw times, parts and judgements, 80 columns wide."""
    times = "".join(f"{word + ' ms (spread)':>22}" for word in PHASES)
    lines = [f"{'namespaces':<11}{'by':<11}{'rounds':>6}{times}{'gone':>8}"]
    for row in found:
        lines.append(
            f"{row.size:<11}{row.name:<11}{row.rounds:>6}{_spread(row.up):>22}"
            f"{_spread(row.down):>22}{_ms(row.gone.median):>8}"
        )
    lines += ["", "What the time of the largest goes into, medians, ms:"]
    largest = max((row.size for row in found), default=0)
    for row in found:
        if row.size == largest and row.parts["up"]:
            for phase in PHASES:
                words = [f"{key} {value:.0f}" for key, value in row.parts[phase].items()]
                parts = f"{row.name} {phase}: {', '.join(words)}"
                lines += textwrap.wrap(parts, WIDTH, subsequent_indent="  ")
    lines += ["", f"{'aim':<36}{'measured (95 %)':>24}{'rounds':>7}  judgement"]
    for one in verdicts:
        measured = f"{one.estimate:.2f} ({one.low:.2f}–{one.high:.2f})"
        limit = "" if one.aim.shown else f": {'≥' if one.aim.at_least else '≤'} {one.aim.limit:g}"
        aim = f"{one.aim.what}{limit}"
        lines.append(f"{aim:<36}{measured:>24}{one.pairs:>7}  {one.judgement}")
    if any(one.pairs < MINIMUM_PAIRS for one in verdicts):
        lines.append(f"Of fewer than {MINIMUM_PAIRS} rounds: the lowest and the highest ratio.")
    for name, why in left_out.items():
        lines += textwrap.wrap(f"Left out: {name}: {why}", WIDTH)
    return "\n".join(lines)


def _spread(of: Spread) -> str:
    return f"{_ms(of.median)} ({_ms(of.minimum)}–{_ms(of.maximum)})"


def _ms(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1e3:.0f}s"
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"

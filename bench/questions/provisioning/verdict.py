"""What the samples of a race say, beside what is aimed at; pure.

Ratios are of pairs within a round. Six rounds and more give an interval of 95 %, and only the
whole interval decides; of fewer rounds the lowest and the highest ratio are shown in its place,
and both must be on one side.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.engine.estimate import (
    MINIMUM_BLOCKS,
    Distribution,
    Pair,
    grouped,
    ratio,
    spread,
)
from bench.engine.show import columns, milliseconds, wrap
from bench.questions.provisioning.contenders import FLOOR, MININET, OURS, SHELL, Figures

Phase = Literal["up", "down"]
Judgement = Literal["holds", "falls short", "cannot tell", "to compare"]
PHASES: tuple[Phase, ...] = ("up", "down")


@dataclass(frozen=True, slots=True)
class RaceSample:
    """One run. Units: ms."""

    name: str
    size: int
    round: int
    up: Figures
    down: Figures
    gone: float  # `down` and what the kernel took to release everything after it


@dataclass(frozen=True, slots=True)
class RaceRow:
    """One contender of one size. Units: ms."""

    name: str
    size: int
    rounds: int
    up: Distribution
    down: Distribution
    gone: Distribution
    parts: dict[str, dict[str, float]]  # by phase: medians of what the time went into


@dataclass(frozen=True, slots=True)
class Aim:
    """What is aimed at: a ratio that is at most, or at least, so much."""

    what: str
    numerator: tuple[str, int]  # contender and size
    denominator: tuple[str, int]
    phase: Phase
    limit: float
    at_least: bool = False
    scale: float = 1.0  # divides the ratio: times of different sizes become times a namespace
    shown: bool = False  # shown beside the others, and not to be reached by us
    key: str = "total"  # what is divided: the time that passes, or the CPU time


@dataclass(frozen=True, slots=True)
class AimResult:
    """An aim beside what was measured."""

    aim: Aim
    estimate: float
    low: float
    high: float
    pairs: int
    judgement: Judgement


def aims(sizes: Sequence[int]) -> tuple[Aim, ...]:
    """List the aims for the sizes that were measured; 8 is shown, not judged."""
    listed: list[Aim] = []
    judged = [size for size in sizes if size >= 100]
    for size in judged:
        pair = ((OURS, size), (FLOOR, size))
        listed += [
            Aim(f"up, of the floor's, {size}", *pair, "up", 1.5),
            Aim(f"down, of the floor's, {size}", *pair, "down", 1.5),
            Aim(f"up, faster than shell, {size}", (SHELL, size), (OURS, size), "up", 15, True),
            Aim(f"up, faster than Mininet, {size}", (MININET, size), (OURS, size), "up", 10, True),
        ]
        # CPU time says the same on a machine that has other things to do.
        for phase in PHASES:
            what = f"CPU of {phase}, of the floor's, {size}"
            listed.append(Aim(what, *pair, phase, 1.5, shown=True, key="cpu"))
    if {100, 1000} <= set(judged):
        for name in (OURS, FLOOR):
            what = f"{'up ' if name == OURS else 'floor '}of one, 1,000 to 100"
            shown = name == FLOOR
            listed.append(Aim(what, (name, 1000), (name, 100), "up", 1.3, scale=10.0, shown=shown))
    return tuple(listed)


def rows(samples: Iterable[RaceSample]) -> tuple[RaceRow, ...]:
    """Summarise each contender of each size, fastest first."""
    summarised = [
        RaceRow(
            name,
            size,
            len(runs),
            spread([run.up["total"] for run in runs]),
            spread([run.down["total"] for run in runs]),
            spread([run.gone for run in runs]),
            {"up": _parts(run.up for run in runs), "down": _parts(run.down for run in runs)},
        )
        for (size, name), runs in grouped(samples, lambda run: (run.size, run.name)).items()
    ]
    return tuple(sorted(summarised, key=lambda row: (row.size, row.up.median)))


def _parts(figures: Iterable[Figures]) -> dict[str, float]:
    gathered: dict[str, list[float]] = {}
    for run in figures:
        for key, value in run.items():
            gathered.setdefault(key, []).append(value)
    return {key: statistics.median(values) for key, values in gathered.items() if key != "total"}


def judge(samples: Sequence[RaceSample], aims: Sequence[Aim]) -> tuple[AimResult, ...]:
    """Judge each aim that was measured. Raises: CannotTell as `estimate.ratio`."""
    results = []
    for aim in aims:
        firsts, seconds = (_of(samples, *side, aim) for side in (aim.numerator, aim.denominator))
        both = sorted(firsts.keys() & seconds.keys())
        if both:
            pairs = ([side[number] for number in both] for side in (firsts, seconds))
            results.append(_judged(aim, *pairs))
    return tuple(results)


def _of(samples: Iterable[RaceSample], name: str, size: int, aim: Aim) -> dict[int, float]:
    """Give a contender's figure of each round that has it."""
    figures = {
        run.round: (run.up if aim.phase == "up" else run.down).get(aim.key)
        for run in samples
        if (run.name, run.size) == (name, size)
    }
    return {number: value for number, value in figures.items() if value is not None}


def _judged(aim: Aim, firsts: Sequence[float], seconds: Sequence[float]) -> AimResult:
    pairs = [Pair(1, *sides) for sides in zip(firsts, seconds, strict=True)]
    if len(pairs) >= MINIMUM_BLOCKS:
        measured = ratio(pairs)
        ends = (measured.estimate, measured.low, measured.high)
    else:
        ratios = [pair.first / pair.second for pair in pairs]
        ends = (statistics.median(ratios), min(ratios), max(ratios))
    estimate, low, high = (end / aim.scale for end in ends)
    return AimResult(aim, estimate, low, high, len(pairs), _decide(aim, low, high))


def _decide(aim: Aim, low: float, high: float) -> Judgement:
    if aim.shown:
        return "to compare"
    if aim.at_least:
        good, bad = low >= aim.limit, high < aim.limit
    else:
        good, bad = high <= aim.limit, low > aim.limit
    return "holds" if good else "falls short" if bad else "cannot tell"


def code(verdicts: Sequence[AimResult]) -> int:
    """Give the exit code of a check: 1 when an aim is missed, 2 when one is left open."""
    judgements = {result.judgement for result in verdicts}
    if "falls short" in judgements:
        return 1
    return 2 if "cannot tell" in judgements or not judgements else 0


def table(rows: Sequence[RaceRow], verdicts: Sequence[AimResult], left_out: dict[str, str]) -> str:
    """Draw times, parts and judgements."""
    times = [
        [str(row.size), row.name, str(row.rounds), *map(_spread, (row.up, row.down)), _ms(row.gone)]
        for row in rows
    ]
    largest = max((row.size for row in rows), default=0)
    parts = []
    for row in rows:
        for phase in PHASES if row.size == largest and row.parts["up"] else ():
            spent = ", ".join(f"{key} {ms:.0f}" for key, ms in row.parts[phase].items())
            parts.append(f"{row.name} {phase}: {spent}")
    judged = []
    for result in verdicts:
        aim = result.aim
        limit = "" if aim.shown else f": {'≥' if aim.at_least else '≤'} {aim.limit:g}"
        measured = f"{result.estimate:.2f} ({result.low:.2f}–{result.high:.2f})"
        judged.append([f"{aim.what}{limit}", measured, str(result.pairs), result.judgement])
    notes = [f"Left out: {name}: {reason}" for name, reason in left_out.items()]
    if any(result.pairs < MINIMUM_BLOCKS for result in verdicts):
        notes.insert(0, f"Of fewer than {MINIMUM_BLOCKS} rounds: the lowest and the highest ratio.")
    head = ["namespaces", "by", "rounds", "up ms (spread)", "down ms (spread)", "gone"]
    lines = [
        columns(head, times),
        "",
        "What the time of the largest goes into, medians, ms:",
        wrap(*parts, indent="  "),
        "",
        columns(["aim", "measured (95 %)", "rounds", "judgement"], judged),
        wrap(*notes),
    ]
    return "\n".join(lines).rstrip()


def _spread(of: Distribution) -> str:
    return f"{_ms(of)} ({_time(of.minimum)}–{_time(of.maximum)})"


def _ms(of: Distribution) -> str:
    return _time(of.median)


def _time(value: float) -> str:
    return f"{value / 1e3:.0f}s" if value >= 10_000 else milliseconds(value)

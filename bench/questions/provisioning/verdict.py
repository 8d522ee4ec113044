"""What the samples of a race say, beside what is aimed at; pure.

A round starts everything anew, so it is a deployment of one block: ratios are of pairs within a
round, their interval is over rounds, and only the whole interval decides.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.engine.show import columns, milliseconds, wrap
from bench.questions.provisioning.contenders import FLOOR, MININET, OURS, SHELL, Figures
from twinstack.statistics import estimate
from twinstack.statistics.estimate import (
    MINIMUM_DEPLOYMENTS,
    Distribution,
    Holds,
    Ratio,
    grouped,
    spread,
)

Phase = Literal["up", "down"]
Racer = tuple[str, int]  # contender and size
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

    @property
    def deployment(self) -> int:
        return self.round

    @property
    def block(self) -> int:
        return self.round

    @property
    def racer(self) -> Racer:
        return self.name, self.size

    def of(self, phase: Phase) -> Figures:
        """Give the figures of one direction."""
        return self.up if phase == "up" else self.down


@dataclass(frozen=True, slots=True)
class Aim:
    """What is aimed at: a ratio of times for one namespace, so that sizes compare too."""

    what: str
    first: Racer
    second: Racer
    phase: Phase = "up"
    limit: float = 0.0  # 0: it is shown beside the others, and not to be reached by us
    least: bool = False  # the ratio is to be at least, not below, the limit
    figure: str = "total"  # what is divided: the time that passes, or the CPU time

    def __str__(self) -> str:
        limit = f": {'≥' if self.least else '<'} {self.limit:g}" if self.limit else ""
        return f"{self.what}{limit}"


@dataclass(frozen=True, slots=True)
class AimResult:
    """An aim beside what was measured."""

    aim: Aim
    rounds: int
    ratio: Ratio | None  # None: of too few rounds
    judgement: Holds | Literal["to compare"]


def aims(sizes: Sequence[int]) -> Iterator[Aim]:
    """List the aims for the sizes that were measured; 8 is shown, not judged."""
    judged = [size for size in sizes if size >= 100]
    for size in judged:
        ours, floor = (OURS, size), (FLOOR, size)
        yield Aim(f"up, of the floor's, {size}", ours, floor, "up", 1.5)
        yield Aim(f"down, of the floor's, {size}", ours, floor, "down", 1.5)
        yield Aim(f"up, faster than shell, {size}", (SHELL, size), ours, "up", 15, least=True)
        yield Aim(f"up, faster than Mininet, {size}", (MININET, size), ours, "up", 10, least=True)
        # CPU time says the same on a machine that has other things to do.
        for phase in PHASES:
            yield Aim(f"CPU of {phase}, of the floor's, {size}", ours, floor, phase, figure="cpu")
    if {100, 1000} <= set(judged):
        yield Aim("up of one, 1,000 to 100", (OURS, 1000), (OURS, 100), "up", 1.3)
        yield Aim("floor of one, 1,000 to 100", (FLOOR, 1000), (FLOOR, 100))


def judge(samples: Iterable[RaceSample], aims: Iterable[Aim]) -> tuple[AimResult, ...]:
    """Judge each aim that was measured. Raises: CannotTell as `estimate.ratio`."""
    racers = grouped(samples, lambda sample: sample.racer)
    return tuple(
        _judged(aim, racers[aim.first], racers[aim.second])
        for aim in aims
        if aim.first in racers and aim.second in racers
    )


def _judged(aim: Aim, firsts: Sequence[RaceSample], seconds: Sequence[RaceSample]) -> AimResult:
    pairs = estimate.blocks(firsts, seconds, lambda run: run.of(aim.phase)[aim.figure] / run.size)
    ratio = estimate.ratio(pairs) if len(pairs) >= MINIMUM_DEPLOYMENTS else None
    judgement = estimate.holds(ratio, aim.limit, least=aim.least) if aim.limit else "to compare"
    return AimResult(aim, len(pairs), ratio, judgement)


def code(results: Sequence[AimResult]) -> int:
    """Give the exit code of a check: 1 when an aim is missed, 2 when one is left open."""
    judged = [of.judgement for of in results if of.judgement != "to compare"]
    return estimate.exit_code(*judged) if judged else 2


def table(
    samples: Iterable[RaceSample], results: Iterable[AimResult], left_out: Mapping[str, str]
) -> str:
    """Draw times, fastest first, what those of the largest went into, and judgements."""
    racers = grouped(samples, lambda sample: sample.racer)
    medians = {of: statistics.median(run.up["total"] for run in racers[of]) for of in racers}
    largest = max(size for _, size in racers)
    times, parts = [], []
    for name, size in sorted(racers, key=lambda racer: (racer[1], medians[racer])):
        runs = racers[name, size]
        up, down = (spread([run.of(phase)["total"] for run in runs]) for phase in PHASES)
        gone = statistics.median(run.gone for run in runs)
        times.append([f"{size}", name, f"{len(runs)}", _spread(up), _spread(down), _time(gone)])
        if size == largest:
            spent = {phase: _spent([run.of(phase) for run in runs]) for phase in PHASES}
            parts += [f"{name} {phase}: {on}" for phase, on in spent.items() if on]
    judged = [[str(of.aim), _measured(of.ratio), str(of.rounds), of.judgement] for of in results]
    head = ["namespaces", "by", "rounds", "up ms (spread)", "down ms (spread)", "gone"]
    lines = [
        columns(head, times),
        "",
        "What the time of the largest goes into, medians, ms:",
        wrap(*parts, indent="  "),
        "",
        columns(["aim", "measured (95 %)", "rounds", "judgement"], judged),
        wrap(*(f"Left out: {name}: {reason}" for name, reason in left_out.items())),
    ]
    return "\n".join(lines).rstrip()


def _spent(runs: Sequence[Figures]) -> str:
    keys = dict.fromkeys(key for figures in runs for key in figures if key != "total")
    medians = {key: statistics.median(run[key] for run in runs if key in run) for key in keys}
    return ", ".join(f"{key} {ms:.0f}" for key, ms in medians.items())


def _measured(ratio: Ratio | None) -> str:
    return f"{ratio.estimate:.2f} ({ratio.low:.2f}–{ratio.high:.2f})" if ratio else "too few rounds"


def _spread(of: Distribution) -> str:
    return f"{_time(of.median)} ({_time(of.minimum)}–{_time(of.maximum)})"


def _time(ms: float) -> str:
    return f"{ms / 1e3:.0f}s" if ms >= 10_000 else milliseconds(ms)

"""Ratios and differences of two arms, with intervals over deployments, and what they decide; pure.

Two identical systems measured the usual way (all of one, then all of the other; means) are found
"different" more often than not, because machines drift. So each block measures both arms, and only
their ratio within the block counts. The estimate is the Hodges–Lehmann median of all blocks'
log-ratios: nearly as precise as the mean, and a stall moves it little.

Each start of the services draws hash seeds and addresses anew, and with them a lasting difference
of a percent or so. Blocks of one deployment share it, so their spread says nothing of it: the
interval is Student's t over the deployments' own estimates. A program that is not redeployed has
the signed-rank interval of its blocks, which holds for that one process.
tests/support/simulate.py shows the coverage, tests/pure/bench/engine/ checks it.

Source: Abedi & Brecht, ICPE 2017; Kalibera & Jones, ISMM 2013 (repeat where the variance arises);
Hodges & Lehmann, Ann. Math. Statist. 34, 1963; Holm, Scand. J. Statist. 6, 1979.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal, Protocol, TypeVar

from twinstack.errors import CannotTell
from twinstack.statistics.sampling import signed_rank_below, t_quantile, t_within

#: With fewer blocks not even the whole range covers the median 95 times in 100 (1 - 2/2**n).
MINIMUM_BLOCKS = 6
#: Two deployments have one degree of freedom: an interval 12.7 standard errors to each side.
MINIMUM_DEPLOYMENTS = 3
LEVEL = 0.95
#: A p-value from here on leaves it open whether there is a difference.
OPEN_P = 0.05
#: A difference of less is of no consequence to a user.
MARGIN = 0.03
#: The difference found 4 times in 5, in half-widths: (1.96 + 0.84) / 1.96.
DETECTABLE = 1.43

Holds = Literal["holds", "fails", "cannot tell"]
Word = Literal["more", "less", "equivalent", "inconclusive"]


class Sampled(Protocol):
    """A sample of an arm in a block of a deployment."""

    @property
    def deployment(self) -> int: ...
    @property
    def block(self) -> int: ...


S = TypeVar("S", bound=Sampled)
T = TypeVar("T")
K = TypeVar("K")
Value = str | Callable[[S], float]
Mean = Callable[[Sequence[float]], float]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Where samples lie. Units: those of the samples."""

    count: int
    median: float
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Two arms in one block: each the mean of that arm's windows in it."""

    deployment: int
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the ends of its interval. Units: those of what is estimated."""

    estimate: float
    low: float
    high: float

    @classmethod
    def read(cls, kept: Mapping[str, float]) -> Interval:
        """Read what a document keeps of one."""
        return Interval(kept["estimate"], kept["low"], kept["high"])

    def through(self, of: Callable[[float], float]) -> Interval:
        """Give what a rising function makes of it: of log-ratios `math.exp` gives factors."""
        return Interval(of(self.estimate), of(self.low), of(self.high))

    def shows(self, least: float) -> bool:
        """Tell whether a difference is worth a row: as large as this, or certain not to be 0."""
        return abs(self.estimate) >= least or self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Ratio(Interval):
    """A ratio of two arms: 1.05 means that the first is 5 % more than the second."""

    pairs: int
    deployments: int  # 1: the interval is of this one deployment, and holds for no other
    p: float  # of no difference, two-sided
    level: float = LEVEL

    @property
    def half_width(self) -> float:
        """Give half the width of the log-ratio's interval: 0.02 is about ±2 %."""
        return math.log(self.high / self.low) / 2

    @property
    def undecided(self) -> bool:
        """Tell whether the interval contains no difference."""
        return self.low <= 1 <= self.high

    @property
    def percent(self) -> str:
        """Write it as a change: +4.0% (+1.2% to +6.1%)."""
        said = f"{self.estimate - 1:+.1%} ({self.low - 1:+.1%} to {self.high - 1:+.1%})"
        return said.replace("-", "−")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a ratio decides."""

    word: Word
    ratio: Ratio
    margin: float  # 0.03: within ±3 % is equivalent

    @property
    def detectable(self) -> float:
        """Give the smallest difference found in 4 runs of 5, as a part."""
        return DETECTABLE * self.ratio.half_width

    @property
    def sentence(self) -> str:
        """Write it: 4.0 % more (95 % CI +1.2 to +6.1 %)."""
        low, high = (
            f"{100 * (end - 1):+.1f}".replace("-", "−") for end in (self.ratio.low, self.ratio.high)
        )
        interval = f"({100 * self.ratio.level:.0f} % CI {low} to {high} %)"
        if self.word == "equivalent":
            return f"no difference larger than {100 * self.margin:.3g} % {interval}"
        if self.word == "inconclusive":
            return f"inconclusive, could have seen {100 * self.detectable:.1f} % {interval}"
        return f"{100 * abs(self.ratio.estimate - 1):.1f} % {self.word} {interval}"


def spread(samples: Sequence[float]) -> Distribution:
    """Summarise samples. Raises: CannotTell when there are none."""
    if not samples:
        raise CannotTell("samples", "cannot be summarised", "there are none", "measure a round")
    return Distribution(len(samples), statistics.median(samples), min(samples), max(samples))


def grouped(samples: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Give the samples of each key."""
    groups: dict[K, list[T]] = {}
    for sample in samples:
        groups.setdefault(key(sample), []).append(sample)
    return groups


def geometric_mean(values: Sequence[float]) -> float:
    """Give the geometric mean. Raises: CannotTell for values that have no ratio."""
    return math.exp(math.fsum(map(_log, values)) / len(values))


def blocks(
    firsts: Iterable[S],
    seconds: Iterable[S],
    quantity: Value[S],
    *,
    mean: Mean = geometric_mean,
) -> tuple[Pair, ...]:
    """Pair two arms block by block, each by the mean of its windows there.

    `quantity` is an attribute like "window.rate", or a function of a sample. A block that lacks an
    arm is left out. For `difference` take statistics.fmean, or parts will not add up.
    Raises: CannotTell when no block has both arms; as `mean`.
    """
    value = attrgetter(quantity) if isinstance(quantity, str) else quantity
    first, second = (
        grouped(arm, lambda sample: (sample.deployment, sample.block)) for arm in (firsts, seconds)
    )
    both = sorted(first.keys() & second.keys())
    if not both:
        cause = f"{len(first)} blocks of one arm, {len(second)} of the other, none of both"
        raise CannotTell("paired samples", "cannot be compared", cause, "measure both in a block")
    return tuple(
        Pair(key[0], *(mean([float(value(one)) for one in arm[key]]) for arm in (first, second)))
        for key in both
    )


def paired(firsts: Iterable[S], seconds: Iterable[S], quantity: Value[S]) -> Ratio:
    """Compare two arms in a quantity, block by block. Raises: as `blocks` and `ratio`."""
    return ratio(blocks(firsts, seconds, quantity))


def ratio(pairs: Sequence[Pair], *, level: float = LEVEL) -> Ratio:
    """Estimate first/second from blocks: Hodges–Lehmann of all, interval over deployments.

    Raises: CannotTell with two deployments, with one of fewer than MINIMUM_BLOCKS blocks, or for a
    sample that is not positive.
    """
    logs = _by_deployment(pairs, lambda pair: _log(pair.first) - _log(pair.second))
    averages = _walsh([log for group in logs for log in group])
    estimate = statistics.median(averages)
    if len(logs) == 1:
        low, high, p = _signed_rank(averages, len(pairs), level)
    else:
        deployments = [statistics.median(_walsh(group)) for group in logs]
        low, high, p = _student(estimate, deployments, level)
    estimate, low, high = map(math.exp, (estimate, low, high))
    return Ratio(estimate, low, high, pairs=len(pairs), deployments=len(logs), p=p, level=level)


def difference(pairs: Sequence[Pair], *, level: float = LEVEL) -> Interval:
    """Estimate first − second: the mean over blocks, so that parts add up to their whole exactly.

    The interval is over deployments, or over blocks where there is only one deployment.
    Raises: CannotTell as `ratio`, but any finite sample will do.
    """
    values = _by_deployment(pairs, lambda pair: _finite(pair.first) - _finite(pair.second))
    every = [value for group in values for value in group]
    estimate = math.fsum(every) / len(every)
    units = every if len(values) == 1 else list(map(statistics.fmean, values))
    return Interval(estimate, *_student(estimate, units, level)[:2])


def shift(pairs: Sequence[Pair]) -> Interval:
    """Estimate first − second by Hodges–Lehmann: a stall moves it, and its interval, little.

    Parts need not add up then. Raises: CannotTell as `difference`.
    """
    values = _by_deployment(pairs, lambda pair: _finite(pair.first) - _finite(pair.second))
    estimate = statistics.median(_walsh([value for group in values for value in group]))
    units = values[0] if len(values) == 1 else [statistics.median(_walsh(own)) for own in values]
    few = len(units) < MINIMUM_BLOCKS
    found = _student(estimate, units) if few else _signed_rank(_walsh(units), len(units))
    return Interval(estimate, *found[:2])


def verdict(measured: Ratio, margin: float = MARGIN) -> Verdict:
    """Decide by the whole interval: equivalent when it lies within the margin, whatever its side.

    The margin is symmetric in the ratio, 1/1.03 to 1.03, so that swapping the arms decides alike.
    """
    word: Word = "inconclusive"
    if 1 / (1 + margin) <= measured.low and measured.high <= 1 + margin:
        word = "equivalent"
    elif not measured.undecided:
        word = "more" if measured.low > 1 else "less"
    return Verdict(word, measured, margin)


def holm(p_values: Mapping[K, float]) -> dict[K, float]:
    """Adjust p-values of several questions asked of one run, so that any false alarm is rare."""
    adjusted: dict[K, float] = {}
    floor = 0.0
    for place, key in enumerate(sorted(p_values, key=p_values.__getitem__)):
        floor = max(floor, min(1.0, (len(p_values) - place) * p_values[key]))
        adjusted[key] = floor
    return {key: adjusted[key] for key in p_values}


def holds(measured: Ratio | None, limit: float, *, least: bool) -> Holds:
    """Tell whether a ratio is at least a limit, or below it: only the whole interval decides."""
    if measured is None:
        return "cannot tell"
    good, bad = measured.high < limit, measured.low > limit
    if least:
        good, bad = measured.low >= limit, measured.high < limit
    return "holds" if good else "fails" if bad else "cannot tell"


def exit_code(*verdicts: Holds) -> int:
    """Give a task's exit code: 0 all hold, 1 something fails, 2 the samples leave it open."""
    return 1 if "fails" in verdicts else 2 if "cannot tell" in verdicts else 0


def _by_deployment(pairs: Sequence[Pair], value: Callable[[Pair], float]) -> list[list[float]]:
    """Give the values of each deployment. Raises: CannotTell when they are too few."""
    groups = [
        list(map(value, group)) for group in grouped(pairs, lambda pair: pair.deployment).values()
    ]
    if len(groups) <= 1 and len(pairs) < MINIMUM_BLOCKS:
        cause, remedy = f"{len(pairs)} blocks are too few", f"measure at least {MINIMUM_BLOCKS}"
        raise CannotTell("estimate", "has no interval", cause, remedy)
    if 1 < len(groups) < MINIMUM_DEPLOYMENTS:
        cause = f"{len(groups)} deployments are too few"
        remedy = f"measure at least {MINIMUM_DEPLOYMENTS}, or one for itself"
        raise CannotTell("estimate", "has no interval", cause, remedy)
    return groups


def _walsh(values: Sequence[float]) -> list[float]:
    """Give the means of all pairs of values, each with itself too, in order."""
    ordered = sorted(values)
    return sorted((a + b) / 2 for place, a in enumerate(ordered) for b in ordered[place:])


def _student(
    estimate: float, units: Sequence[float], level: float = LEVEL
) -> tuple[float, float, float]:
    """Give an estimate's interval and p from units that each estimate the same."""
    freedom = len(units) - 1
    error = statistics.stdev(units) / math.sqrt(len(units))
    margin = t_quantile(level, freedom) * error
    if error == 0:
        return estimate, estimate, float(estimate == 0)
    return estimate - margin, estimate + margin, 1 - t_within(estimate / error, freedom)


def _signed_rank(
    averages: Sequence[float], count: int, level: float = LEVEL
) -> tuple[float, float, float]:
    """Give the exact interval and p of `count` values from their Walsh averages, in order."""
    chances = signed_rank_below(count)
    cut = bisect_right(chances, (1 - level) / 2)
    if not cut:
        cause = f"{count} blocks are too few for {level:.0%}"
        raise CannotTell("estimate", "has no interval", cause, "measure more")
    most = min(sum(average <= 0 for average in averages), sum(average >= 0 for average in averages))
    p = min(1.0, 2 * chances[most]) if most < len(chances) else 1.0
    return averages[cut - 1], averages[-cut], p


def _log(value: float) -> float:
    if not 0 < value < math.inf:
        remedy = "look at the windows: one without a success, or a counter that stood still"
        raise CannotTell("paired samples", "have no ratio", f"a sample is {value:g}", remedy)
    return math.log(value)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        remedy = "look at the windows: one without a success"
        raise CannotTell("paired samples", "have no difference", f"a sample is {value:g}", remedy)
    return value

"""What samples say and what they do not: medians, paired ratios, intervals, verdicts; pure.

Two identical systems measured the usual way (all of one, then all of the other; means) are found
"different" more often than not, as machines drift. So each round measures both, only the ratio
within a round counts, the median of the rounds' log-ratios is the estimate, and a bootstrap
gives its interval. With ten rounds the plain percentile interval is too narrow (it covers the
truth 93 times of 100, not 95), so the levels are widened as Hesterberg advises. The A/A tests in
tests/pure/bench/engine/test_estimate.py hold the coverage.

Source: Abedi & Brecht, ICPE 2017; Kalibera & Jones, ISMM 2013; Hesterberg, "What Teachers Should
Know About the Bootstrap", 2015 (expanded percentile interval).
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from twinstack.errors import CannotTell

#: With fewer pairs not even the whole range covers the median 95 times of 100 (1 - 2/2**n).
MINIMUM_PAIRS = 6
RESAMPLES = 4_000
LEVEL = 0.95

Verdict = Literal["more", "less", "no measurable difference"]
Holds = Literal["holds", "fails", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Where samples lie. Units: those of the samples."""

    count: int
    median: float
    minimum: float
    maximum: float
    low_quartile: float
    high_quartile: float

    @property
    def relative_iqr(self) -> float:
        """Give the interquartile range as a part of the median."""
        return (self.high_quartile - self.low_quartile) / self.median if self.median else math.nan


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of paired samples: 1.05 means that the first is 5 % more than the second.

    `low` and `high` bound it at `level`.
    """

    estimate: float
    low: float
    high: float
    pairs: int
    level: float = LEVEL

    @property
    def verdict(self) -> Verdict:
        """Say which is more, or that the interval leaves it open."""
        if self.low > 1:
            return "more"
        if self.high < 1:
            return "less"
        return "no measurable difference"

    @property
    def resolution(self) -> float:
        """Give the half-width of the interval, as a part of 1: smaller differences hide in it."""
        return math.sqrt(self.high / self.low) - 1

    def inverse(self) -> Ratio:
        """Give the ratio of the second to the first."""
        return Ratio(1 / self.estimate, 1 / self.high, 1 / self.low, self.pairs, self.level)


def spread(samples: Sequence[float]) -> Spread:
    """Summarise samples. Raises: CannotTell when there are none."""
    if not samples:
        raise CannotTell("samples", "cannot be summarised", "there are none", "measure a round")
    if len(samples) == 1:
        quartiles = [samples[0]] * 3
    else:
        quartiles = statistics.quantiles(samples, n=4, method="inclusive")
    return Spread(
        count=len(samples),
        median=statistics.median(samples),
        minimum=min(samples),
        maximum=max(samples),
        low_quartile=quartiles[0],
        high_quartile=quartiles[2],
    )


def paired_log_ratios(firsts: Sequence[float], seconds: Sequence[float]) -> tuple[float, ...]:
    """Give ln(first/second) of each round.

    Raises: CannotTell when a sample has no partner or is not positive: a ratio has no meaning.
    """
    if len(firsts) != len(seconds):
        raise CannotTell(
            "paired samples",
            "cannot be compared",
            f"{len(firsts)} against {len(seconds)}",
            "measure both in every round",
        )
    worst = min((*firsts, *seconds), default=1.0)
    if not worst > 0 or math.inf in (*firsts, *seconds):
        raise CannotTell(
            "paired samples",
            "have no ratio",
            f"a sample is {worst:g}",
            "look at the trials: a round without one success, or a counter that stood still",
        )
    return tuple(math.log(a / b) for a, b in zip(firsts, seconds, strict=True))


def ratio(
    firsts: Sequence[float],
    seconds: Sequence[float],
    *,
    seed: int,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Ratio:
    """Estimate first/second from paired rounds, with a bootstrap interval of the median.

    The same samples and seed give the same answer. Raises: CannotTell with fewer than
    MINIMUM_PAIRS pairs or samples that are not positive.
    """
    logs = paired_log_ratios(firsts, seconds)
    if len(logs) < MINIMUM_PAIRS:
        raise CannotTell(
            "ratio",
            "has no interval",
            f"{len(logs)} rounds are too few",
            f"measure at least {MINIMUM_PAIRS} rounds",
        )
    chance = random.Random(seed)
    medians = sorted(statistics.median(chance.choices(logs, k=len(logs))) for _ in range(resamples))
    tail = _expanded_tail(level, len(logs))
    return Ratio(
        estimate=math.exp(statistics.median(logs)),
        low=math.exp(_quantile(medians, tail)),
        high=math.exp(_quantile(medians, 1 - tail)),
        pairs=len(logs),
        level=level,
    )


def below(found: Ratio, limit: float) -> Holds:
    """Tell whether a ratio is below a limit: only the whole interval decides."""
    if found.high < limit:
        return "holds"
    return "fails" if found.low > limit else "cannot tell"


def above(found: Ratio, limit: float) -> Holds:
    """Tell whether a ratio is at least a limit: only the whole interval decides."""
    if found.low >= limit:
        return "holds"
    return "fails" if found.high < limit else "cannot tell"


def exit_code(*verdicts: Holds) -> int:
    """Give a task's exit code: 0 all holds, 1 something fails, 2 the samples leave it open."""
    return 1 if "fails" in verdicts else 2 if "cannot tell" in verdicts else 0


def _expanded_tail(level: float, count: int) -> float:
    """Widen a percentile interval's tail for a small sample, as Student's t widens the normal."""
    normal = statistics.NormalDist()
    z = normal.inv_cdf((1 + level) / 2)
    freedom = count - 1
    # Student's quantile from the normal one (Cornish-Fisher, two terms): 0.2 % off at 9 degrees.
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return normal.cdf(-math.sqrt(count / freedom) * t)


def _quantile(ordered: Sequence[float], part: float) -> float:
    place = part * (len(ordered) - 1)
    below_it = math.floor(place)
    above_it = min(below_it + 1, len(ordered) - 1)
    return ordered[below_it] + (place - below_it) * (ordered[above_it] - ordered[below_it])

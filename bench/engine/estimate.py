"""Medians, paired ratios with intervals, and what an interval decides; pure.

Two identical systems measured the usual way (all of one, then all of the other; means) are found
"different" more often than not, because machines drift. So each round measures both, only the
ratio within a round counts, the median of the rounds' log-ratios is the estimate, and a bootstrap
gives its interval. With ten rounds the plain percentile interval is too narrow (it covers the
truth 93 times in 100, not 95), so its levels are widened as Hesterberg advises. The A/A tests in
tests/pure/bench/engine/test_estimate.py check the coverage.

Source: Abedi & Brecht, ICPE 2017; Kalibera & Jones, ISMM 2013; Hesterberg, "What Teachers Should
Know About the Bootstrap", 2015 (expanded percentile interval).
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal, Protocol, TypeVar

from twinstack.errors import CannotTell

#: With fewer pairs not even the whole range covers the median 95 times in 100 (1 - 2/2**n).
MINIMUM_PAIRS = 6
RESAMPLES = 4_000
LEVEL = 0.95

Holds = Literal["holds", "fails", "cannot tell"]


class Sampled(Protocol):
    """A sample of an arm in a round."""

    @property
    def round(self) -> int: ...


S = TypeVar("S", bound=Sampled)
T = TypeVar("T")
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Distribution:
    """Where samples lie. Units: those of the samples."""

    count: int
    median: float
    minimum: float
    maximum: float
    low_quartile: float
    high_quartile: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of paired samples: 1.05 means that the first is 5 % more than the second."""

    estimate: float
    low: float  # the interval's ends, at `level`
    high: float
    pairs: int
    level: float = LEVEL

    @property
    def verdict(self) -> Literal["more", "less", "no measurable difference"]:
        """Say which is more, or that the interval leaves it open."""
        if self.low > 1:
            return "more"
        if self.high < 1:
            return "less"
        return "no measurable difference"

    @property
    def undecided(self) -> bool:
        """Tell whether the interval contains no difference."""
        return self.low <= 1 <= self.high

    @property
    def percent(self) -> str:
        """Write it as a change: +4.0% (+1.2% to +6.1%)."""
        return f"{self.estimate - 1:+.1%} ({self.low - 1:+.1%} to {self.high - 1:+.1%})"

    @property
    def saved(self) -> str:
        """Write what the second lacks of the first: 3.8% (95 % interval 1.2% to 5.7%)."""
        estimate, low, high = (1 - 1 / end for end in (self.estimate, self.low, self.high))
        return f"{estimate:.1%} (95 % interval {low:.1%} to {high:.1%})"


def median(samples: Iterable[object], quantity: str) -> float:
    """Give the median of a quantity, an attribute of each sample. Raises: as `spread`."""
    return spread(list(map(attrgetter(quantity), samples))).median


def spread(samples: Sequence[float]) -> Distribution:
    """Summarise samples. Raises: CannotTell when there are none."""
    if not samples:
        raise CannotTell("samples", "cannot be summarised", "there are none", "measure a round")
    if len(samples) == 1:
        quartiles = [samples[0]] * 3
    else:
        quartiles = statistics.quantiles(samples, n=4, method="inclusive")
    return Distribution(
        count=len(samples),
        median=statistics.median(samples),
        minimum=min(samples),
        maximum=max(samples),
        low_quartile=quartiles[0],
        high_quartile=quartiles[2],
    )


def grouped(samples: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Give the samples of each key."""
    groups: dict[K, list[T]] = {}
    for sample in samples:
        groups.setdefault(key(sample), []).append(sample)
    return groups


def paired(firsts: Iterable[S], seconds: Iterable[S], quantity: str, *, seed: int) -> Ratio:
    """Compare two arms in a quantity, an attribute like "window.rate", round by round.

    Raises: as `ratio`.
    """
    first, second = (
        {sample.round: float(attrgetter(quantity)(sample)) for sample in arm}
        for arm in (firsts, seconds)
    )
    rounds = sorted(first.keys() & second.keys())
    return ratio(
        [first[number] for number in rounds], [second[number] for number in rounds], seed=seed
    )


def paired_log_ratios(firsts: Sequence[float], seconds: Sequence[float]) -> tuple[float, ...]:
    """Give ln(first/second) of each round.

    Raises: CannotTell when a sample has no partner or is not positive: a ratio has no meaning.
    """
    if len(firsts) != len(seconds):
        cause = f"{len(firsts)} against {len(seconds)}"
        remedy = "measure both in every round"
        raise CannotTell("paired samples", "cannot be compared", cause, remedy)
    worst = min((*firsts, *seconds), default=1.0)
    if not worst > 0 or math.inf in (*firsts, *seconds):
        remedy = "look at the trials: a round without one success, or a counter that stood still"
        raise CannotTell("paired samples", "have no ratio", f"a sample is {worst:g}", remedy)
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
        remedy = f"measure at least {MINIMUM_PAIRS} rounds"
        raise CannotTell("ratio", "has no interval", f"{len(logs)} rounds are too few", remedy)
    rng = random.Random(seed)
    medians = sorted(statistics.median(rng.choices(logs, k=len(logs))) for _ in range(resamples))
    tail = _expanded_tail(level, len(logs))
    return Ratio(
        estimate=math.exp(statistics.median(logs)),
        low=math.exp(_quantile(medians, tail)),
        high=math.exp(_quantile(medians, 1 - tail)),
        pairs=len(logs),
        level=level,
    )


def below(measured: Ratio, limit: float) -> Holds:
    """Tell whether a ratio is below a limit: only the whole interval decides."""
    if measured.high < limit:
        return "holds"
    return "fails" if measured.low > limit else "cannot tell"


def above(measured: Ratio, limit: float) -> Holds:
    """Tell whether a ratio is at least a limit: only the whole interval decides."""
    if measured.low >= limit:
        return "holds"
    return "fails" if measured.high < limit else "cannot tell"


def exit_code(*verdicts: Holds) -> int:
    """Give a task's exit code: 0 all hold, 1 something fails, 2 the samples leave it open."""
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

"""Latency quantiles with intervals, and the highest rate that keeps a bound; pure.

Latencies within a second or two depend on each other (a stall delays hundreds of requests at once),
so an interval that takes them for independent is far too narrow. What is drawn again in this
bootstrap are whole windows, the same ones for every arm of a round: drift that both share cancels
in their ratio. A quantile with few requests beyond it has no interval worth printing, and is None.

The highest rate is sought up and down: a window that keeps the bound raises the next one's rate, a
window that does not lowers it, and a logistic curve through all of them says where half of them do.

Source: Künsch, "The Jackknife and the Bootstrap for General Stationary Observations", 1989; Dixon
and Mood, "A Method for Obtaining and Analyzing Sensitivity Data", 1948.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from twinstack.errors import CannotTell
from twinstack.statistics.estimate import Interval
from twinstack.statistics.sampling import t_quantile

WANTED = (0.5, 0.99, 0.999)
RESAMPLES = 2_000
#: So many windows that follow each other are drawn together: they are alike.
BLOCK = 2
LEVEL = 0.95
#: Fewer windows than this have no interval; fewer requests beyond a quantile say too little of it.
LEAST_WINDOWS, LEAST_BEYOND = 8, 10
#: How much a rate is raised or lowered: at first, and at least.
_FIRST_STEP, _LAST_STEP = 1.25, 1.05
#: A window misses or keeps a bound for no reason of its rate's in this part of all.
_LAPSE = 0.02
#: The log-likelihood of a 95 % interval lies this much below the best: twice that of independent
#: windows, as neighbours are alike.
_LIKELIHOOD_CUT = 2 * 1.92


@dataclass(frozen=True, slots=True)
class Quantiles:
    """An arm's quantiles: as measured (first), and in each resample of its windows."""

    windows: int
    resampled: Mapping[float, NDArray[np.float64]]  # without those that too few requests reach

    def span(self, part: float) -> Interval | None:
        """Give a quantile. Units: as the latencies."""
        return _span(self.resampled[part], self.windows) if part in self.resampled else None

    def over(self, other: Quantiles, part: float) -> Interval | None:
        """Give the ratio of a quantile to another arm's of the same rounds."""
        if part not in self.resampled or part not in other.resampled:
            return None
        return _span(self.resampled[part] / other.resampled[part], self.windows)


def quantiles(windows: Sequence[Sequence[float]], *, seed: int) -> Quantiles:
    """Resample an arm's windows of latencies; the same seed draws the same rounds for every arm.

    Raises: CannotTell with fewer than LEAST_WINDOWS.
    """
    count = len(windows)
    if count < LEAST_WINDOWS:
        remedy = f"measure at least {LEAST_WINDOWS} windows"
        raise CannotTell("latency", "has no interval", f"{count} windows are too few", remedy)
    values = np.concatenate([np.asarray(window, dtype=np.float64) for window in windows])
    owners = np.repeat(np.arange(count), [len(window) for window in windows])
    order = np.argsort(values, kind="stable")
    values, owners = values[order], owners[order]
    wanted = [part for part in WANTED if len(values) * (1 - part) >= LEAST_BEYOND]
    starts = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count // BLOCK))
    drawn = (starts[..., None] + np.arange(BLOCK)) % count  # neighbours, the last with the first
    rows = []
    for windows_drawn in (np.arange(count), *drawn.reshape(RESAMPLES, -1)):
        reached = np.cumsum(np.bincount(windows_drawn, minlength=count)[owners])
        rows.append(values[np.searchsorted(reached, [part * reached[-1] for part in wanted])])
    columns = np.maximum(np.array(rows), 1e-9).T
    return Quantiles(count, dict(zip(wanted, columns, strict=True)))


def quantile(values: Sequence[float], part: float) -> float:
    """Give the least value that this part of all does not exceed. Raises: CannotTell if none."""
    if not values:
        raise CannotTell("latency", "has no quantile", "nothing was measured", "measure again")
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def _span(resampled: NDArray[np.float64], windows: int) -> Interval:
    """Give the percentile interval, widened for few blocks as Student's t widens the normal."""
    estimate, off = resampled[0], np.log(resampled[1:] / resampled[0])
    blocks = windows / BLOCK
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    wider = math.sqrt(blocks / (blocks - 1)) * t_quantile(LEVEL, round(blocks - 1)) / z
    low, high = np.quantile(off, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)) * wider
    return Interval(float(estimate), float(estimate * np.exp(low)), float(estimate * np.exp(high)))


@dataclass(frozen=True, slots=True)
class RateTrial:
    """One window at a rate, and whether it kept the bound. Units: requests per second."""

    rate: float
    kept: bool


def keeps(latencies_us: Sequence[int], part: float, bound_us: float) -> bool:
    """Tell whether a quantile is below a bound; a failed request (-1) is slower than any."""
    slow = sum(not 0 <= latency < bound_us for latency in latencies_us)
    return slow <= (1 - part) * len(latencies_us)


def next_rate(trials: Sequence[RateTrial], start: float) -> float:
    """Give the rate of the next window: up after one that kept the bound, else down.

    The step is halved each time that the direction turns, down to 5 %.
    """
    if not trials:
        return start
    turns = sum(a.kept != b.kept for a, b in pairwise(trials))
    step: float = max(_FIRST_STEP ** (0.5**turns), _LAST_STEP)
    return trials[-1].rate * (step if trials[-1].kept else 1 / step)


def highest_rate(trials: Sequence[RateTrial]) -> Interval:
    """Give the rate at which half of the windows keep the bound. Units: requests per second.

    Raises: CannotTell when all windows kept it, or none did.
    """
    if len({trial.kept for trial in trials}) < 2:
        what = "every" if trials and trials[0].kept else "no"
        rates = ", ".join(f"{trial.rate:.0f}" for trial in trials[-3:])
        cause = f"{what} window kept the bound (the last at {rates} requests per second)"
        raise CannotTell("the highest rate", "was not reached", cause, "choose another --bound-ms")
    logs = np.log([trial.rate for trial in trials])
    signs = np.array([1.0 if trial.kept else -1.0 for trial in trials])
    middles = np.arange(logs.min() - 0.5, logs.max() + 0.5, 0.002)
    widths = np.geomspace(0.005, 0.3, 16)
    exponents = signs * (logs - middles[:, None, None]) / widths[:, None]
    chances = _LAPSE / 2 + (1 - _LAPSE) / (1 + np.exp(np.clip(exponents, -50, 50)))
    likelihood = np.log(chances).sum(axis=2).max(axis=1)  # of the best width for each middle
    best = np.exp(middles[likelihood >= likelihood.max() - 0.01].mean())
    inside = np.exp(middles[likelihood >= likelihood.max() - _LIKELIHOOD_CUT])
    return Interval(float(best), float(inside.min()), float(inside.max()))

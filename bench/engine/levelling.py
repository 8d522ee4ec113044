"""Takes the machine's own speed out of what windows show; pure.

A shared machine does the same work faster in one second and slower in the next, by 10 % and more.
Each window knows how long a fixed piece of work took meanwhile (see `bench.load.speed`), which no
arm causes: how a quantity moves with it inside of each arm is seen, and every window is moved to
the speed of the mean window. What is left is what the arms did. This is a control variate: it
moves no estimate on the average, and makes its interval narrower.

Source: Lavenberg & Welch, Management Science 27, 1981; Deng et al., WSDM 2013 (CUPED).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

from bench.engine.arm import Quantity, Window
from twinstack.statistics.estimate import grouped

Value = Callable[[Window], float]
SLOWNESS = Quantity("slowness", "CPU time of a fixed piece of work", lambda w: w.work_us, "µs")
#: Fewer windows than this do not show how a quantity moves with the speed.
_LEAST = 12


def levelled(windows: Sequence[Window], of: Value, *, ratios: bool) -> Value:
    """Give a quantity as it would be with the mean window's speed; as it is without a probe.

    With `ratios` it moves by a factor, else by a sum: then parts that add up still do.
    """
    if len(windows) < _LEAST or not all(window.work_us > 0 for window in windows):
        return of
    slope = _slope(windows, _log_of(of) if ratios else of)
    mean = fmean(map(slowness, windows))

    def at_mean_speed(window: Window) -> float:
        moved = slope * (mean - slowness(window))
        return of(window) * math.exp(moved) if ratios else of(window) + moved

    return at_mean_speed


def slowness(window: Window) -> float:
    """Give how slow the machine was: the logarithm of the CPU time of a piece of work."""
    return math.log(window.work_us)


def _slope(windows: Sequence[Window], of: Value) -> float:
    """Fit a line to windows, each against the mean of its arm. Least squares."""
    moved = speeds = 0.0
    for own in grouped(windows, lambda window: window.arm).values():
        mean, speed = fmean(map(of, own)), fmean(map(slowness, own))
        moved += sum((slowness(window) - speed) * (of(window) - mean) for window in own)
        speeds += sum((slowness(window) - speed) ** 2 for window in own)
    return moved / speeds if speeds else 0.0


def _log_of(of: Value) -> Value:
    """Give the logarithm of a quantity; what has none moves nothing."""
    return lambda window: math.log(max(of(window), 1e-9))

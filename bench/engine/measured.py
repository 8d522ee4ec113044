"""Everything that an experiment measured, and what can be computed from it; pure.

The first quantity of the first contrast is the question: its verdict stands for itself. All other
ratios are looked at together, so their p-values are adjusted (Holm): of many intervals some would
exclude "no difference" by chance.

Ratios and differences are at one speed of the machine. A shared one does the same work faster in
one second and slower in the next, by 10 % and more. Each window knows how long a fixed piece of
work took meanwhile (see `bench.load.speed`), which no arm causes: how a quantity moves with it
inside of each arm is seen, and every window is moved to the speed of the mean window. What is left
is what the arms did. This is a control variate: it moves no estimate on the average, and makes its
interval narrower.

Source: Lavenberg & Welch, Management Science 27, 1981; Deng et al., WSDM 2013 (CUPED).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from operator import methodcaller
from statistics import fmean

from bench.engine.arm import CPU, PARTS, Bound, Contrast, Quantity, Window, service_of
from bench.engine.design import LEAST_DEPLOYMENTS, Design
from bench.engine.show import Waterfall
from twinstack.errors import CannotTell
from twinstack.statistics import estimate
from twinstack.statistics.estimate import Holds, Interval, Pair, Ratio, Verdict, blocks, grouped

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


@dataclass(frozen=True)
class Measured:
    """Everything that an experiment measured, with what is needed to repeat it."""

    load: str
    windows: tuple[Window, ...]
    contrasts: tuple[Contrast, ...]
    quantities: tuple[Quantity, ...]
    bounds: tuple[Bound, ...]
    design: Design
    seed: int
    seconds: float  # that it took
    repeated: int  # blocks measured again as others had the machine
    busy: int  # blocks that count although others had the machine
    stopped: str = ""  # "precise", "out of time" or "interrupted"
    broken: str = ""  # why it was interrupted
    code: int = 0  # the exit code of that

    @property
    def deployments(self) -> int:
        return len({window.deployment for window in self.windows})

    @property
    def blocks(self) -> int:
        return len({window.block for window in self.windows})

    @cached_property
    def arms(self) -> dict[str, list[Window]]:
        """Give the windows of each arm, what is compared with first."""
        groups = grouped(self.windows, lambda window: window.arm)
        named = (arm for contrast in self.contrasts for arm in (contrast.second, contrast.first))
        return {arm: groups[arm] for arm in dict.fromkeys((*named, *groups)) if arm in groups}

    @cached_property
    def undecidable(self) -> str:
        """Say why there is no verdict; empty when there is one."""
        if self.deployments < LEAST_DEPLOYMENTS:
            return f"fewer than {LEAST_DEPLOYMENTS} deployments"
        try:
            return "" if self.ratios else "nothing is compared"
        except CannotTell as error:  # a machine so busy that less than rest was spent
            return str(error)

    @property
    def failed(self) -> int:
        return sum(window.failed for window in self.windows)

    def ratio(self, contrast: Contrast, quantity: Quantity) -> Ratio:
        """Give the first arm's over the second's, at one speed of the machine.

        Raises: CannotTell with too few deployments.
        """
        sides = first, second = self._sides(contrast)
        return estimate.paired(*sides, levelled([*first, *second], quantity.of, ratios=True))

    def as_measured(self, contrast: Contrast, quantity: Quantity) -> Ratio:
        """Give the same with the machine's speed left in. Raises: as `ratio`."""
        return estimate.paired(*self._sides(contrast), quantity.of)

    def difference(self, contrast: Contrast, of: Callable[[Window], float]) -> Interval:
        """Give the first arm's less the second's. Raises: as `ratio`."""
        return estimate.difference(self._blocks(contrast, of))

    def _blocks(self, contrast: Contrast, of: Callable[[Window], float]) -> tuple[Pair, ...]:
        sides = first, second = self._sides(contrast)
        value = levelled([*first, *second], of, ratios=False)
        return blocks(*sides, value, mean=fmean)

    def _sides(self, contrast: Contrast) -> tuple[list[Window], list[Window]]:
        return self.arms.get(contrast.first, []), self.arms.get(contrast.second, [])

    def half_widths(self) -> dict[str, float]:
        """Give the half-widths of the first contrast; empty while it has no interval."""
        if self.undecidable:
            return {}
        question = self.contrasts[0]
        return {of.name: self.ratio(question, of).half_width for of in self.quantities}

    @cached_property
    def ratios(self) -> dict[tuple[Contrast, str], Ratio]:
        """Give each contrast's ratio of each quantity, where there is one: the question's must be.

        Raises: CannotTell without the question's own.
        """
        ratios = {}
        for contrast, quantity in product(self.contrasts, self.quantities):
            try:
                ratios[contrast, quantity.name] = self.ratio(contrast, quantity)
            except CannotTell:  # short windows of one arm on a busy machine: less than rest
                if contrast == self.contrasts[0]:
                    raise
        return ratios

    @cached_property
    def adjusted(self) -> dict[tuple[Contrast, str], float]:
        """Give each ratio's p-value: the question's own as it is, all others adjusted."""
        keys = list(self.ratios)
        others = estimate.holm({key: self.ratios[key].p for key in keys[1:]})
        return {keys[0]: self.ratios[keys[0]].p, **others}

    @property
    def verdict(self) -> Verdict:
        """Answer the question."""
        return estimate.verdict(self.ratios[self.contrasts[0], self.quantities[0].name])

    def holds(self, bound: Bound) -> Holds:
        """Tell whether a bound is kept: only the whole interval decides."""
        ratio = self.ratios.get((bound.contrast, bound.quantity.name))
        return estimate.holds(ratio, bound.limit, least=bound.least)

    def ledger(self, contrast: Contrast) -> dict[str, Interval]:
        """Give where the difference in CPU time per request goes; the parts add up to "all"."""
        parts = {part: self.difference(contrast, methodcaller("part", part)) for part in PARTS}
        return {**parts, "all": self.difference(contrast, CPU.of)}

    def services(self, contrast: Contrast) -> dict[str, Interval]:
        """Give where the services' part of the ledger goes; they add up to it."""
        windows = [window for side in self._sides(contrast) for window in side]
        names = {service_of(replica): None for window in windows for replica in window.services_us}
        return {name: self.difference(contrast, methodcaller("service", name)) for name in names}

    def waterfall(self, contrast: Contrast) -> Waterfall:
        """Give the way from the second arm's CPU time per request to the first's."""
        pairs = self._blocks(contrast, CPU.of)
        parts = self.ledger(contrast)
        return Waterfall(
            "µs a request",
            (contrast.second, fmean(pair.second for pair in pairs)),
            {**self.services(contrast), **{part: parts[part] for part in PARTS[1:]}},
            (contrast.first, fmean(pair.first for pair in pairs)),
        )

    @property
    def exit_code(self) -> int:
        """Give 0 when all went well and holds, 1 when not, 2 when the samples leave it open."""
        if self.broken or self.failed:
            return self.code or 1
        if self.undecidable:
            return 2
        return estimate.exit_code(*map(self.holds, self.bounds))

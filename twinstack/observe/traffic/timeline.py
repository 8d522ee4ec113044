"""Packets and bytes over time, in a bounded number of steps that double when time goes on."""

from __future__ import annotations

import numpy as np

from twinstack.observe.traffic.packets import Ints
from twinstack.observe.traffic.report import TimelineStep

_MOST_STEPS = 240
_FIRST_STEP_NS = 1_000_000


class Timeline:
    """Counts in steps of `step_ns`."""

    def __init__(self) -> None:
        self.step_ns = _FIRST_STEP_NS
        self._steps: dict[int, tuple[int, int]] = {}

    def add(self, times_ns: Ints, lengths: Ints) -> None:
        """Count packets."""
        if not len(times_ns):
            return
        low, high = int(times_ns.min()), int(times_ns.max())
        while self._span(low // self.step_ns, high // self.step_ns) > _MOST_STEPS:
            self._double()
        numbers = times_ns // self.step_ns - low // self.step_ns
        packets = np.bincount(numbers)
        size = np.bincount(numbers, weights=lengths)
        for number in np.flatnonzero(packets).tolist():
            key = number + low // self.step_ns
            before = self._steps.get(key, (0, 0))
            self._steps[key] = before[0] + int(packets[number]), before[1] + int(size[number])

    def moments(self) -> tuple[TimelineStep, ...]:
        """Give every step from the first to the last."""
        if not self._steps:
            return ()
        first = min(self._steps)
        return tuple(
            TimelineStep((number - first) * self.step_ns / 1e9, *self._steps.get(number, (0, 0)))
            for number in range(first, max(self._steps) + 1)
        )

    def _span(self, low: int, high: int) -> int:
        return max([high, *self._steps]) - min([low, *self._steps]) + 1

    def _double(self) -> None:
        self.step_ns *= 2
        steps: dict[int, tuple[int, int]] = {}
        for number, (packets, size) in self._steps.items():
            before = steps.get(number // 2, (0, 0))
            steps[number // 2] = before[0] + packets, before[1] + size
        self._steps = steps

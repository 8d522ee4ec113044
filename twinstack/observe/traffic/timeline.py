"""Packets and bytes over time, in a bounded number of steps that double as time goes on."""

from __future__ import annotations

import numpy as np

from twinstack.observe.traffic.columns import Ints
from twinstack.observe.traffic.report import TimelineStep

_MAX_STEPS = 240
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
        while self._span(low // self.step_ns, high // self.step_ns) > _MAX_STEPS:
            self._double()
        numbers = times_ns // self.step_ns - low // self.step_ns
        packets = np.bincount(numbers)
        size = np.bincount(numbers, weights=lengths)
        for number in np.flatnonzero(packets).tolist():
            self._count(number + low // self.step_ns, int(packets[number]), int(size[number]))

    def steps(self) -> tuple[TimelineStep, ...]:
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
        steps, self._steps = self._steps, {}
        for number, (packets, size) in steps.items():
            self._count(number // 2, packets, size)

    def _count(self, number: int, packets: int, size: int) -> None:
        packets_before, size_before = self._steps.get(number, (0, 0))
        self._steps[number] = packets_before + packets, size_before + size

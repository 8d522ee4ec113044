"""The one loop behind every question: deployments, blocks, windows, until it is precise enough.

A question names its arms, contrasts and bounds as an `Experiment`; `run` measures it by a `Design`.
What was measured is never lost: when a world dies or Ctrl-C comes, it is given back with the
reason, and kept.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from bench.engine import design, result
from bench.engine.arm import (
    BUSY_PART,
    CPU,
    LEFT_OVER,
    RATE,
    STRANGERS,
    Arm,
    Bound,
    Contrast,
    Quantity,
    Window,
    joined,
)
from bench.engine.design import Design
from bench.engine.measured import Measured
from bench.engine.meter import Meter, Spending, spent
from bench.load.speed import SpeedProbe, probing
from twinstack.errors import CannotTell, TwinstackError
from twinstack.reconcile import Progress
from twinstack.world import LocalWorld

#: So often a run measures spoiled blocks again: nothing helps where the machine is always busy.
MOST_REPEATS = 6
_STRETCH_S = 1.0
#: So many short runs warm an arm up.
_WARM_RUNS = 2
#: One start of what is measured: gives its arms, with everything running while the block lasts.
Stage = Callable[[], AbstractContextManager[Sequence[Arm]]]


@dataclass(frozen=True, slots=True)
class Experiment:
    """What a question compares."""

    stage: Stage
    contrasts: tuple[Contrast, ...]  # the first one is the question
    load: str  # in words: "20 kept connections, /api/products"
    worlds: Sequence[LocalWorld] = ()  # those that are up meanwhile
    quantities: tuple[Quantity, ...] = (CPU, RATE)  # the first one decides
    bounds: tuple[Bound, ...] = ()
    #: How long each deployment is watched at rest; None: a window, or a second where it is short.
    rest_s: float | None = None
    #: Gives block after block by the arms' names and the seed.
    order: Callable[[Sequence[str], int], Iterator[tuple[str, ...]]] = design.order
    rest_each: bool = False  # what holds around an arm spends at rest too: watch each by itself


def run(experiment: Experiment, how: Design, progress: Progress) -> Measured:
    """Measure until it is precise, or out of time.

    Raises: TwinstackError, OSError, KeyboardInterrupt before anything was measured; then it is
    given back with its reason.
    """
    seed = secrets.randbits(32) if how.seed is None else how.seed
    live = Live(experiment, how, progress, seed)
    try:
        with probing() if experiment.worlds else nullcontext() as live.probe:
            return live.until_it_ends()
    except KeyboardInterrupt:
        if not live.windows:
            raise
        return live.measured("interrupted", "stopped by Ctrl-C", 130)
    except (TwinstackError, OSError) as error:  # of the system: a full disk, no process left
        if not live.windows:
            raise
        return live.measured("interrupted", str(error), 1)


@dataclass
class Live:
    """One experiment while it runs: what was measured until now, and how often others disturbed."""

    experiment: Experiment
    how: Design
    progress: Progress
    seed: int
    probe: SpeedProbe | None = None  # of the machine's speed
    start_s: float = field(default_factory=time.monotonic)
    windows: list[Window] = field(default_factory=list)
    repeated: int = 0  # blocks that were measured again
    busy: int = 0  # blocks that count although others had the machine

    def until_it_ends(self) -> Measured:
        """Measure deployment after deployment."""
        blocks: Iterator[tuple[str, ...]] | None = None
        deployment = 0
        while True:
            deployment += 1
            self._say(f"deployment {deployment}: restarting what is measured")
            with self.experiment.stage() as arms:
                named = {arm.name: arm for arm in arms}
                blocks = blocks or self.experiment.order(list(named), self.seed)
                self.deploy(deployment, named, blocks)
            now = self.measured()
            if stopped := design.stop(self.how, deployment, now.seconds, now.half_widths()):
                return self.measured(stopped)

    def measured(self, stopped: str = "", broken: str = "", code: int = 0) -> Measured:
        """Give what was measured until now."""
        of, seconds = self.experiment, time.monotonic() - self.start_s
        parts = (of.load, tuple(self.windows), of.contrasts, of.quantities, of.bounds)
        disturbed = self.repeated, self.busy
        return Measured(*parts, self.how, self.seed, seconds, *disturbed, stopped, broken, code)

    def deploy(
        self, deployment: int, arms: Mapping[str, Arm], order: Iterator[tuple[str, ...]]
    ) -> None:
        """Warm every arm up, watch at rest, and measure the blocks of one deployment.

        In that order: rest is that of a world as warm as the one that is measured.
        """
        meter = Meter(self.experiment.worlds, self.probe)
        rest = self._warm_up(meter, arms)
        restless = any(map(_spoiled, rest.values()))
        first = (deployment - 1) * self.how.blocks + 1
        for number in range(first, first + self.how.blocks):
            names = next(order)
            while True:
                turns = [
                    [_run(meter, arms[name], rest[name], deployment, number) for name in names]
                    for _ in range(self.how.runs)
                ]
                block = [joined(runs) for runs in zip(*turns, strict=True)]
                spoiled = busiest(block) > BUSY_PART
                if not (spoiled and self.again()):
                    break
                self._say(f"block {number}: others had the machine; again")
            self.busy += spoiled or restless
            self.windows += block
            self._say(f"deployment {deployment}, block {number}: {result.brief(block)}")

    def again(self) -> bool:
        """Tell whether there is time to measure a block, or rest, again, and count it."""
        late = time.monotonic() > self.start_s + self.how.minutes * 60
        if self.repeated == MOST_REPEATS or late:
            return False
        self.repeated += 1
        return True

    def _warm_up(self, meter: Meter, arms: Mapping[str, Arm]) -> dict[str, Spending]:
        """Load each arm once, and give what is spent at rest while it holds, or none does."""
        rest: dict[str, Spending] = {}
        for arm in arms.values():
            with arm.during() as programs:
                meter.assign(programs or {})
                for _ in range(min(self.how.runs, _WARM_RUNS)):
                    arm.load()
                if self.experiment.rest_each:
                    rest |= self._rest(meter, [arm])
        return rest or self._rest(meter, arms.values())

    def _rest(self, meter: Meter, arms: Iterable[Arm]) -> dict[str, Spending]:
        """Give what is spent at rest now, for each of some arms."""
        arms, rest_s = tuple(arms), self.experiment.rest_s
        while True:
            before = meter.read()
            time.sleep(max(self.how.seconds, _STRETCH_S) if rest_s is None else rest_s)
            after = meter.read()
            rest = {arm.name: spent(before, after, arm.world) for arm in arms}
            if not (any(map(_spoiled, rest.values())) and self.again()):
                return rest
            self._say("at rest: others had the machine; again")

    def _say(self, line: str) -> None:
        spent_s, most_s = time.monotonic() - self.start_s, self.how.minutes * 60
        self.progress(f"{clock(spent_s)} of {clock(most_s)}, {line}")


def busiest(block: Sequence[Window]) -> float:
    """Give the part of the machine that others had in the worst stretch of a block; pure.

    A stretch is a window, or as many as a second has: in a tenth of a second a tick is a lot.
    """
    parts: list[float] = []
    taken_s = seconds = 0.0
    for window in block:
        taken_s += window.busy(os.cpu_count() or 1) * window.seconds
        seconds += window.seconds
        if seconds >= _STRETCH_S or (window is block[-1] and not parts):
            parts.append(taken_s / seconds)
            taken_s = seconds = 0.0
    return max(parts)


def _spoiled(rest: Spending) -> bool:
    """Tell whether others had the machine at rest: programs, ended ones too, or the hypervisor."""
    taken_us = rest.stolen_us + sum(rest.parts_us.get(part, 0.0) for part in (STRANGERS, LEFT_OVER))
    return taken_us > BUSY_PART * rest.seconds * (os.cpu_count() or 1) * 1e6


def _run(meter: Meter, arm: Arm, rest: Spending, deployment: int, block: int) -> Window:
    """Measure one run. Raises: CannotTell for one without a success."""
    with arm.during() as programs:
        meter.assign(programs or {})
        before = meter.read()
        tally = arm.load()
        of = spent(before, meter.read(), arm.world)
    if not tally.done:
        cause = f"{tally.failed} failed"
        raise CannotTell(arm.name, "did not answer one request", cause, "look at its log")
    share = of.seconds / rest.seconds
    return Window(
        arm.name,
        deployment,
        block,
        seconds=tally.figures.get("seconds", of.seconds),
        done=tally.done,
        failed=tally.failed,
        parts_us=of.parts_us,
        rest_us={part: us * share for part, us in rest.parts_us.items()},
        services_us={
            replica: us - rest.services_us.get(replica, 0.0) * share
            for replica, us in of.services_us.items()
        },
        throttled_us=of.throttled_us,
        stolen_us=of.stolen_us,
        work_us=of.work_us,
        figures=tally.figures,
    )


def clock(seconds: float) -> str:
    """Write a time: 4:05; pure."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"

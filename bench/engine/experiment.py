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
from dataclasses import dataclass

from bench.engine import design, result
from bench.engine.arm import BUSY_PART, CPU, RATE, Arm, Bound, Contrast, Quantity, Window
from bench.engine.design import Design
from bench.engine.measured import Measured
from bench.engine.meter import Meter, Spending, spent
from bench.load.speed import SpeedProbe, probing
from twinstack.errors import CannotTell, TwinstackError
from twinstack.reconcile import Progress
from twinstack.world import LocalWorld

#: So often a run measures spoiled blocks again: nothing helps where the machine is always busy.
MOST_REPEATS = 6
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
    rest_s: float = 2.0  # how long all is watched at rest in each deployment
    #: Gives block after block by the arms' names and the seed.
    order: Callable[[Sequence[str], int], Iterator[tuple[str, ...]]] = design.order
    rest_each: bool = False  # what holds around an arm spends at rest too: watch each by itself


def run(experiment: Experiment, how: Design, progress: Progress) -> Measured:
    """Measure until it is precise, or out of time.

    Raises: TwinstackError, OSError, KeyboardInterrupt before anything was measured; then it is
    given back with its reason.
    """
    seed = secrets.randbits(32) if how.seed is None else how.seed
    windows: list[Window] = []
    start_s, deployment = time.monotonic(), 0
    busy = Busy(start_s + how.minutes * 60)
    blocks: Iterator[tuple[str, ...]] | None = None

    def say(line: str) -> None:
        progress(f"{clock(time.monotonic() - start_s)} of {clock(how.minutes * 60)}, {line}")

    def measured(stopped: str = "", broken: str = "", code: int = 0) -> Measured:
        return Measured(
            experiment.load,
            tuple(windows),
            experiment.contrasts,
            experiment.quantities,
            experiment.bounds,
            how,
            seed,
            time.monotonic() - start_s,
            busy.repeated,
            busy.kept,
            stopped,
            broken,
            code,
        )

    try:
        with probing() if experiment.worlds else nullcontext() as probe:
            while True:
                deployment += 1
                say(f"deployment {deployment}: restarting what is measured")
                with experiment.stage() as arms:
                    named = {arm.name: arm for arm in arms}
                    blocks = blocks or experiment.order(list(named), seed)
                    live = Live(named, experiment, deployment, say, probe)
                    for block in live.blocks(blocks, how, busy):
                        windows += block
                now = measured()
                if stopped := design.stop(how, deployment, now.seconds, now.half_widths()):
                    return measured(stopped)
    except KeyboardInterrupt:
        if not windows:
            raise
        return measured("interrupted", "stopped by Ctrl-C", 130)
    except (TwinstackError, OSError) as error:  # of the system: a full disk, no process left
        if not windows:
            raise
        return measured("interrupted", str(error), 1)


@dataclass
class Busy:
    """How often others had the machine."""

    deadline_s: float  # monotonic; after it no block is measured again
    repeated: int = 0  # blocks that were measured again
    kept: int = 0  # blocks that are in the result although busy

    def again(self) -> bool:
        """Tell whether there is time to measure a block again, and count it."""
        if self.repeated == MOST_REPEATS or time.monotonic() > self.deadline_s:
            return False
        self.repeated += 1
        return True


@dataclass(frozen=True)
class Live:
    """One deployment, while it runs."""

    arms: Mapping[str, Arm]
    experiment: Experiment
    deployment: int
    progress: Progress
    probe: SpeedProbe | None = None  # of the machine's speed

    def blocks(
        self, order: Iterator[tuple[str, ...]], how: Design, busy: Busy
    ) -> Iterator[list[Window]]:
        """Warm every arm up, watch at rest, and measure the blocks of this deployment.

        In that order: rest is that of a world as warm as the one that is measured.
        """
        meter = Meter(self.experiment.worlds, self.probe)
        each, rest = self.experiment.rest_each, dict[str, Spending]()
        for name, arm in self.arms.items():
            with arm.during() as programs:
                meter.assign(programs or {})
                arm.load()
                rest |= self._rest(meter, [name]) if each else {}
        if not each:
            rest = self._rest(meter, self.arms)
        cores = os.cpu_count() or 1
        before = (self.deployment - 1) * how.blocks
        for number in range(before + 1, before + how.blocks + 1):
            names = next(order)
            while True:
                block = [self._window(meter, rest, name, number) for name in names]
                spoiled = max(window.busy(cores) for window in block) > BUSY_PART
                if not (spoiled and busy.again()):
                    break
                self.progress(f"block {number}: others had the machine; again")
            busy.kept += spoiled
            self.progress(f"deployment {self.deployment}, block {number}: {result.brief(block)}")
            yield block

    def _rest(self, meter: Meter, arms: Iterable[str]) -> dict[str, Spending]:
        """Give what is spent at rest now, for each of some arms."""
        before = meter.read()
        time.sleep(self.experiment.rest_s)
        after = meter.read()
        return {name: spent(before, after, self.arms[name].world) for name in arms}

    def _window(
        self, meter: Meter, at_rest: Mapping[str, Spending], name: str, block: int
    ) -> Window:
        """Measure one window. Raises: CannotTell for one without a success."""
        arm, rest = self.arms[name], at_rest[name]
        with arm.during() as programs:
            meter.assign(programs or {})
            before = meter.read()
            tally = arm.load()
            of = spent(before, meter.read(), arm.world)
        if not tally.done:
            cause = f"{tally.failed} failed"
            raise CannotTell(name, "did not answer one request", cause, "look at its log")
        share = of.seconds / rest.seconds
        return Window(
            name,
            self.deployment,
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

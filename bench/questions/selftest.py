"""Is the benchmark right? A world against itself many times, and costs that are planted in it.

A/A: the same entry point twice, a minute each time; its share of findings should be the one in
twenty that a 95 % interval leaves. Planted: one of the two pays for something of known size (a spin
before each request, or an edge that is held for a part of the time), which must be found with its
sign and size. Runs are kept one by one: stopped, it goes on another time.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter, methodcaller
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.engine import store, worlds
from bench.engine.arm import CLIENT, CPU, RATE, Arm, Contrast
from bench.engine.loads import by_wrk
from bench.engine.question import Design, Experiment, Measured, Outcome, outcome_of, run
from bench.engine.show import wrap
from bench.engine.store import RESULTS
from twinstack.errors import WrongUse
from twinstack.model import bounds
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.statistics.estimate import OPEN_P
from twinstack.world import LocalWorld

PLAIN, PLANTED = "plain", "planted"
COST = Contrast(PLANTED, PLAIN)
NOTHING, SPIN, HOLD = "nothing", "spin", "hold"
#: What can be planted, the quantity that must show it, and the sign of that.
PLANTS = {NOTHING: (CPU, 0), SPIN: (CPU, 1), HOLD: (RATE, -1)}
_CONNECTIONS, _PATH = 20, "/api/products"
#: The most of each that can be planted: µs a request, a part of the time.
_MOST = {NOTHING: 0.0, SPIN: 10_000.0, HOLD: 0.5}
_MOST_RUNS, _HELD_S = 1_000, 0.005
#: Both arms run it, so that only the spin differs. Source: wrk's SCRIPTING.
_LUA = """local spin_s, one = %g / 1e6, nil
function init(args) one = wrk.format() end
function request()
  local till = os.clock() + spin_s
  while os.clock() < till do end
  return one
end
"""


@dataclass(frozen=True, slots=True)
class SelfTestRun:
    """One comparison, as it is kept."""

    world: str
    plant: str
    size: float  # spin: µs a request; hold: a part of the time
    minutes: float
    estimate: float  # the ratio of the quantity that must show it
    low: float
    high: float
    p: float
    extra_us: float  # of CPU time per request, with its interval
    extra_low: float
    extra_high: float
    client_us: float  # of that in the client, which pays for a spin
    detectable: float
    busy: int  # blocks in which others had the machine

    @property
    def found(self) -> bool:
        """Tell whether a difference was found: by chance in 1 of 20, where there is none."""
        return self.p < OPEN_P

    @property
    def right(self) -> bool:
        """Tell whether what is planted was found, with its sign."""
        return self.found and (self.estimate - 1) * PLANTS[self.plant][1] > 0


def ask(
    stack: Stack,
    *,
    world: str,
    how: Design,
    runs: int,
    plant: str = NOTHING,
    size: float = 0.0,
    kept: Path = RESULTS / "selftest.jsonl",
    progress: Progress,
) -> Outcome:
    """Measure as many runs as are missing, and judge all that are kept of this kind.

    Raises: WrongUse for options that cannot be; CannotTell; Missing.
    """
    bounds.within("runs", runs, 1, _MOST_RUNS)
    if plant not in PLANTS:
        cause = f"it is one of {', '.join(PLANTS)}"
        raise WrongUse("--plant", f"cannot be {plant}", cause, "choose one")
    most = _MOST[plant]
    if not 0 <= size <= most or bool(size) != bool(most):
        cause = f"of {plant} it is {f'more than 0, to {most:g}' if most else 0}"
        raise WrongUse("--size", f"cannot be {size:g}", cause, "choose another")
    chosen = worlds.ready(stack, worlds.named(world), None, progress)
    how = how if worlds.probed(stack) else how.taking_turns()
    how = replace(how, look=1.0)  # a run takes all of its time: runs of a kind resolve alike
    name, retries = f"selftest-{chosen.name}", runs
    with worlds.lifted([chosen]), TemporaryDirectory(prefix="twinstack-selftest-") as folder:
        asked = experiment(chosen, plant, size, how, Path(folder), progress)
        while len(done := read(kept, chosen.name, plant, size, how.minutes)) < runs:
            progress(f"run {len(done) + 1} of {runs}")
            measured = run(asked, how, progress)
            if measured.broken:
                return outcome_of(measured, name, chosen.plan)
            if measured.undecidable:  # a machine so busy that less than rest was spent
                progress(f"no verdict, so no run: {measured.undecidable}")
                if not (retries := retries - 1):
                    return outcome_of(measured, name, chosen.plan)
            else:
                store.add_run(kept, judged(measured, chosen.name, plant, size))
    return Outcome(name, chosen.plan, tuple(done), text(done))


def experiment(
    world: LocalWorld, plant: str, size: float, how: Design, folder: Path, progress: Progress
) -> Experiment:
    """Give the same entry point twice; the second pays for what is planted."""
    url = world.endpoint(worlds.EDGE).url(_PATH)

    def arms() -> Iterator[Arm]:
        for name in (PLAIN, PLANTED):
            planted = plant if name == PLANTED else NOTHING
            script = folder / f"{name}.lua"
            script.write_text(_LUA % (size if planted == SPIN else 0.0))
            load = by_wrk(url, _CONNECTIONS, how.run_s, script=script)
            during = partial(_holding, world, size) if planted == HOLD else nullcontext
            yield Arm(name, load, world.name, during)

    first = PLANTS[plant][0]
    return Experiment(
        stage=worlds.redeployed([world], arms, progress),
        contrasts=(COST,),
        load=f"{_CONNECTIONS} kept connections (wrk), {_PATH}",
        worlds=[world],
        quantities=(first, RATE if first is CPU else CPU),
    )


@contextmanager
def _holding(world: LocalWorld, part: float) -> Iterator[None]:
    """Stop the edge's processes for a part of the time, in short holds."""
    ended = threading.Event()
    pids = [process.pid for process in world.processes() if process.replica == worlds.EDGE]

    def send(sign: signal.Signals) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, sign)

    def hold() -> None:
        pause_s = _HELD_S / part - _HELD_S
        if ended.wait(random.uniform(0, pause_s)):  # a run is not many times as long
            return
        while not ended.wait(pause_s):
            send(signal.SIGSTOP)
            ended.wait(_HELD_S)
            send(signal.SIGCONT)

    holding = threading.Thread(target=hold)
    holding.start()
    try:
        yield
    finally:
        ended.set()
        holding.join()


def judged(measured: Measured, world: str, plant: str, size: float) -> SelfTestRun:
    """Give what one comparison found; pure."""
    verdict, extra = measured.verdict, measured.difference(COST, CPU.of)
    ratio = verdict.ratio
    return SelfTestRun(
        world,
        plant,
        size,
        measured.design.minutes,
        ratio.estimate,
        ratio.low,
        ratio.high,
        ratio.p,
        extra.estimate,
        extra.low,
        extra.high,
        measured.difference(COST, methodcaller("part", CLIENT)).estimate,
        verdict.detectable,
        measured.busy,
    )


def read(file: Path, world: str, plant: str, size: float, minutes: float) -> list[SelfTestRun]:
    """Read the kept runs of a kind."""
    runs, kind = (SelfTestRun(**own) for own in store.runs(file)), (world, plant, size, minutes)
    return [run for run in runs if (run.world, run.plant, run.size, run.minutes) == kind]


def text(runs: Sequence[SelfTestRun]) -> str:
    """Say how often runs found something, and how often rightly; pure."""
    first, count = runs[0], len(runs)
    widths = sorted(run.detectable for run in runs)
    could = f"each could have seen {widths[count // 2]:.1%} (median)"
    busy = sum(run.busy > 0 for run in runs)
    runs_of = f"{count} runs of {first.minutes:g} min of {first.world}"
    said = f"{runs_of}, {busy} on a busy machine; {could}."
    if first.plant == NOTHING:
        found = sum(run.found for run in runs)
        return wrap(f"{said} {found} found a difference that is not there: {found / count:.1%}.")
    right, wrong = sum(run.right for run in runs), sum(run.found and not run.right for run in runs)
    extra, client = (_median(runs, of) for of in ("extra_us", "client_us"))
    return wrap(
        f"{said} Planted: {first.plant} of {first.size:g}. Found in {right} runs, with the wrong "
        f"sign in {wrong}. Extra CPU time per request: {extra}; of that in the client, {client}."
    )


def _median(runs: Sequence[SelfTestRun], of: str) -> str:
    values = sorted(map(attrgetter(of), runs))
    middle = values[len(values) // 2]
    return f"{middle:+.1f} µs (median; {values[0]:+.1f} to {values[-1]:+.1f})"

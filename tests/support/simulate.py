"""How often the benchmark is right, on noise fitted to a shared machine of two cores; pure.

`python -m tests.support.simulate` prints coverage, width and power of each design. The noise is
that of 360 windows of 2 s (bench/results/20261126T020922Z-turns.json): a drift that comes back
within some 18 s, white noise, and for each deployment a lasting difference between the arms. CPU
time per request moves against the rate (−0.9): both follow the machine's speed. Stalls are assumed,
there is none in those windows.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from statistics import fmean

from bench.engine import design as designs
from bench.engine.arm import CPU, RATE
from bench.engine.design import Design
from twinstack.statistics.estimate import DETECTABLE, Pair, Ratio, ratio, verdict

#: The windows that the noise was fitted to.
FITTED_S = 2.0
RUNS = 2_000
EFFECTS = (0.01, 0.02, 0.03, 0.05)
DEPLOYMENT_SDS = (0.0, 0.01, 0.02)


@dataclass(frozen=True, slots=True)
class Noise:
    """A machine's noise: standard deviations of log-rates."""

    drift_sd: float = 0.047
    drift_s: float = 18.0  # time constant
    white_sd: float = 0.041  # of a window of FITTED_S; falls with the root of its length
    cpu_part: float = -0.8  # of the rate's noise, found again in CPU time per request
    cpu_sd: float = 0.02  # of its own, a window of FITTED_S
    stall_chance: float = 0.01  # of a window
    stall_mean: float = 0.2  # of the log-rate that it loses
    deployment_sd: float = 0.0  # of the arms' lasting log-ratio

    def scaled(self, factor: float) -> Noise:
        """Give a machine that is as much noisier, its deployments alike."""
        names = ("drift_sd", "white_sd", "cpu_sd", "stall_mean")
        return replace(self, **{name: getattr(self, name) * factor for name in names})


@dataclass(frozen=True, slots=True)
class SimulatedDesign:
    """A design, and how long what is between its windows takes. Units: seconds."""

    how: Design = field(default_factory=Design)
    arms: int = 2  # the first is compared with all others
    turn_s: float = 0.3  # from one window to the next
    deploy_s: float = 6.0  # restart and warm-up
    redeploys: bool = True  # else all blocks are of one deployment

    @property
    def deployment_s(self) -> float:
        """Give how long a deployment lasts."""
        return self.deploy_s + self.how.blocks * 2 * self.arms * (self.how.seconds + self.turn_s)


@dataclass(frozen=True, slots=True)
class Run:
    """What one simulated run found."""

    cpu: Ratio
    rate: Ratio
    seconds: float

    @property
    def half_widths(self) -> dict[str, float]:
        return {CPU.name: self.cpu.half_width, RATE.name: self.rate.half_width}

    @property
    def precise(self) -> bool:
        """Tell whether both intervals are narrow."""
        return all(self.half_widths[name] <= most for name, most in Design().narrow.items())


def run(rng: random.Random, design: SimulatedDesign, noise: Noise) -> Run:
    """Simulate a run of equal arms."""
    how, drift = design.how, Drift(rng, noise)
    order = designs.order([str(arm) for arm in range(design.arms)], rng.getrandbits(32))
    cpus: list[Pair] = []
    rates: list[Pair] = []
    for deployment in count(1):
        drift.pass_time(design.deploy_s)
        if deployment == 1 or design.redeploys:
            lasting_rate, lasting_cpu = (rng.gauss(0, noise.deployment_sd) for _ in range(2))
            drawn = deployment
        for block in islice(order, how.blocks):
            rate, cpu = _block(rng, block, design, noise, drift)
            rates.append(Pair(drawn, math.exp(rate + lasting_rate), 1.0))
            cpus.append(Pair(drawn, math.exp(cpu + lasting_cpu), 1.0))
        elapsed_s = deployment * design.deployment_s
        late = deployment >= how.least and elapsed_s >= how.look * how.minutes * 60
        half_widths = Run(ratio(cpus), ratio(rates), elapsed_s).half_widths if late else {}
        if designs.stop(how, deployment, elapsed_s, half_widths):
            break
    return Run(ratio(cpus), ratio(rates), elapsed_s)


def _finds(effect: float) -> Callable[[Run], float]:
    return lambda run: run.cpu.low * (1 + effect) > 1


#: What is reported of many runs of equal arms: means, or the part of the runs for which it holds. A
#: true effect would only shift the log-ratios, so the same runs tell which effects are found.
COLUMNS: dict[str, Callable[[Run], float]] = {
    "deployments": lambda run: run.cpu.deployments,
    "seconds": lambda run: run.seconds,
    "CPU covered": lambda run: run.cpu.undecided,
    "rate covered": lambda run: run.rate.undecided,
    "CPU half-width": lambda run: run.cpu.half_width,
    "rate half-width": lambda run: run.rate.half_width,
    "precise": lambda run: run.precise,
    "equivalent": lambda run: verdict(run.cpu).word == "equivalent",
    "false alarm": lambda run: verdict(run.cpu).word in {"more", "less"},
    **{f"finds {effect:.0%}": _finds(effect) for effect in EFFECTS},
    "could see": lambda run: DETECTABLE * run.cpu.half_width,
}


def cell(
    design: SimulatedDesign, noise: Noise, *, runs: int = RUNS, seed: int = 1
) -> dict[str, float]:
    """Simulate many runs; gives each of COLUMNS. The same seed gives the same cell."""
    rng = random.Random(seed)
    found = [run(rng, design, noise) for _ in range(runs)]
    return {name: fmean(map(of, found)) for name, of in COLUMNS.items()}


class Drift:
    """A machine's speed, which wanders and comes back (Ornstein–Uhlenbeck)."""

    def __init__(self, rng: random.Random, noise: Noise) -> None:
        self._rng, self._noise = rng, noise
        self.log_rate = rng.gauss(0, noise.drift_sd)

    def pass_time(self, seconds: float) -> None:
        """Move on."""
        kept = math.exp(-seconds / self._noise.drift_s)
        fresh = self._noise.drift_sd * math.sqrt(1 - kept**2)
        self.log_rate = kept * self.log_rate + self._rng.gauss(0, fresh)


def _block(
    rng: random.Random, block: Sequence[str], design: SimulatedDesign, noise: Noise, drift: Drift
) -> tuple[float, float]:
    """Give a block's log-ratios of the first arm to the others: rate, CPU time per request."""
    shorter = math.sqrt(FITTED_S / design.how.seconds)
    rate = cpu = 0.0
    for arm in block:
        weight = 0.5 if arm == "0" else -0.5 / (design.arms - 1)
        speed = drift.log_rate + rng.gauss(0, noise.white_sd * shorter)
        if rng.random() < noise.stall_chance:
            speed -= rng.expovariate(1 / noise.stall_mean)
        rate += weight * speed
        cpu += weight * (noise.cpu_part * speed + rng.gauss(0, noise.cpu_sd * shorter))
        drift.pass_time(design.how.seconds + design.turn_s)
    return rate, cpu


#: Never narrow enough to stop.
TO_THE_END = {CPU.name: 0.0}
_DEFAULT = Design(narrow=TO_THE_END)
_QUICK = Design(minutes=1, blocks=1, narrow=TO_THE_END)
#: What the table shows: the last one is there to show what one deployment misses.
DESIGNS = {
    "default": SimulatedDesign(_DEFAULT),
    "default, stops": SimulatedDesign(),
    "3 blocks": SimulatedDesign(replace(_DEFAULT, blocks=3)),
    "3 blocks, stops": SimulatedDesign(Design(blocks=3)),
    "A/A beside, pooled": SimulatedDesign(_DEFAULT, arms=3),
    "deploys in 12 s": SimulatedDesign(_DEFAULT, deploy_s=12),
    "ten minutes": SimulatedDesign(replace(_DEFAULT, minutes=10)),
    "ten minutes, stops": SimulatedDesign(Design(minutes=10)),
    "ten minutes, stops early": SimulatedDesign(Design(minutes=10, look=0.0)),
    "quick": SimulatedDesign(_QUICK),
    "quick, 5 of 1.2 s": SimulatedDesign(replace(_QUICK, seconds=1.2)),
    "one deployment": SimulatedDesign(_DEFAULT, redeploys=False),
}


def table(runs: int, seed: int, scale: float) -> Iterator[str]:
    """Write the designs' cells, line by line."""
    yield f"| design | deployment SD | {' | '.join(COLUMNS)} |"
    yield "|---" * (2 + len(COLUMNS)) + "|"
    for name, design in DESIGNS.items():
        for spread in DEPLOYMENT_SDS:
            noise = replace(Noise().scaled(scale), deployment_sd=spread)
            values = cell(design, noise, runs=runs, seed=seed).values()
            yield f"| {name} | {spread} | {' | '.join(f'{value:.3g}' for value in values)} |"


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Simulate the benchmark's designs.")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="noise, as a part of the fitted")
    options = parser.parse_args(arguments)
    for line in table(options.runs, options.seed, options.scale):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])

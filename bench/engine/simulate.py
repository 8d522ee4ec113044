"""How often the benchmark is right, on noise fitted to a shared machine of two cores; pure.

`python -m bench.engine.simulate` prints coverage, width and power of each design. The noise is that
of 360 windows of 2 s (bench/results/20261126T020922Z-turns.json): a drift that comes back within
some 18 s, white noise, and for each deployment a lasting difference between the arms. CPU time per
request moves against the rate (−0.9): both follow the machine's speed. Stalls are assumed, there is
none in those windows.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from bench.engine.estimate import DETECTABLE, Pair, Ratio, ratio, verdict

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
        return replace(
            self,
            drift_sd=self.drift_sd * factor,
            white_sd=self.white_sd * factor,
            cpu_sd=self.cpu_sd * factor,
            stall_mean=self.stall_mean * factor,
        )


@dataclass(frozen=True, slots=True)
class SimulatedDesign:
    """When what is measured. Units: seconds."""

    blocks: int = 3  # a deployment
    arms: int = 2  # each twice a block, as a palindrome; the first is compared with all others
    window_s: float = 2.0
    turn_s: float = 0.3  # from one window to the next
    deploy_s: float = 6.0  # restart and warm-up
    budget_s: float = 300.0
    stops: bool = False  # when narrow; else it uses the budget
    least: int = 6  # deployments before it may stop
    least_part: float = 3 / 4  # of the budget before it may stop
    cpu_narrow: float = 0.02  # half-widths that are precise, as parts
    rate_narrow: float = 0.03

    @property
    def deployment_s(self) -> float:
        """Give how long a deployment lasts."""
        block_s = 2 * self.arms * (self.window_s + self.turn_s)
        return self.deploy_s + self.blocks * block_s

    @property
    def deployments(self) -> int:
        """Give how many deployments the budget has room for."""
        return int(self.budget_s // self.deployment_s)

    def may_stop(self, deployments: int) -> bool:
        """Tell whether narrow intervals end the run after so many deployments.

        Not early: narrow intervals are narrow by chance more often than others, so that each look
        costs coverage (from the sixth of seventeen deployments on, it would be 93.7 %).
        """
        late = deployments * self.deployment_s >= self.least_part * self.budget_s
        return self.stops and late and deployments >= self.least

    def precise(self, cpu: Ratio, rate: Ratio) -> bool:
        """Tell whether both intervals are narrow."""
        return cpu.half_width <= self.cpu_narrow and rate.half_width <= self.rate_narrow


@dataclass(frozen=True, slots=True)
class Run:
    """What one simulated run found."""

    cpu: Ratio
    rate: Ratio
    seconds: float
    precise: bool


@dataclass(frozen=True, slots=True)
class SimulatedCell:
    """What many runs of one design found of equal arms: parts of the runs, unless said otherwise.

    A true effect would only shift the log-ratios, so the same runs tell the power.
    """

    deployments: float  # mean
    seconds: float  # mean
    cpu_coverage: float
    rate_coverage: float
    cpu_half_width: float  # means, as parts of the quantity
    rate_half_width: float
    precise: float
    equivalent: float  # CPU
    false_alarms: float  # CPU told as more or less
    power: tuple[float, ...]  # CPU: each of EFFECTS excludes no difference, on its side


def run(rng: random.Random, design: SimulatedDesign, noise: Noise) -> Run:
    """Simulate a run of equal arms."""
    cpus: list[Pair] = []
    rates: list[Pair] = []
    drift = Drift(rng, noise)
    for deployment in range(1, design.deployments + 1):
        drift.pass_time(design.deploy_s)
        lasting_rate, lasting_cpu = (rng.gauss(0, noise.deployment_sd) for _ in range(2))
        for _ in range(design.blocks):
            rate, cpu = _block(rng, design, noise, drift)
            rates.append(Pair(deployment, math.exp(rate + lasting_rate), 1.0))
            cpus.append(Pair(deployment, math.exp(cpu + lasting_cpu), 1.0))
        last = deployment == design.deployments
        if last or design.may_stop(deployment):
            found = ratio(cpus), ratio(rates)
            precise = design.precise(*found)
            if last or precise:
                return Run(*found, deployment * design.deployment_s, precise)
    raise ValueError("no deployment fits into the budget")


def cell(
    design: SimulatedDesign, noise: Noise, *, runs: int = RUNS, seed: int = 1
) -> SimulatedCell:
    """Simulate many runs. The same seed gives the same cell."""
    rng = random.Random(seed)
    found = [run(rng, design, noise) for _ in range(runs)]
    words = [verdict(one.cpu).word for one in found]
    return SimulatedCell(
        deployments=fmean(one.cpu.deployments for one in found),
        seconds=fmean(one.seconds for one in found),
        cpu_coverage=fmean(one.cpu.undecided for one in found),
        rate_coverage=fmean(one.rate.undecided for one in found),
        cpu_half_width=fmean(one.cpu.half_width for one in found),
        rate_half_width=fmean(one.rate.half_width for one in found),
        precise=fmean(one.precise for one in found),
        equivalent=words.count("equivalent") / runs,
        false_alarms=(words.count("more") + words.count("less")) / runs,
        power=tuple(fmean(one.cpu.low * (1 + effect) > 1 for one in found) for effect in EFFECTS),
    )


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
    rng: random.Random, design: SimulatedDesign, noise: Noise, drift: Drift
) -> tuple[float, float]:
    """Give a block's log-ratios of the first arm to the others: rate, CPU time per request."""
    order = list(range(design.arms))
    rng.shuffle(order)
    shorter = math.sqrt(FITTED_S / design.window_s)
    rate = cpu = 0.0
    for arm in (*order, *reversed(order)):
        weight = -0.5 / (design.arms - 1) if arm else 0.5
        speed = drift.log_rate + rng.gauss(0, noise.white_sd * shorter)
        if rng.random() < noise.stall_chance:
            speed -= rng.expovariate(1 / noise.stall_mean)
        rate += weight * speed
        cpu += weight * (noise.cpu_part * speed + rng.gauss(0, noise.cpu_sd * shorter))
        drift.pass_time(design.window_s + design.turn_s)
    return rate, cpu


#: What the table shows: the last one is there to show what one deployment misses.
DESIGNS = {
    "default": SimulatedDesign(),
    "default, stops": SimulatedDesign(stops=True),
    "2 blocks": SimulatedDesign(blocks=2),
    "2 blocks, stops": SimulatedDesign(blocks=2, stops=True),
    "A/A beside, pooled": SimulatedDesign(arms=3, blocks=2),
    "deploys in 12 s": SimulatedDesign(deploy_s=12),
    "ten minutes": SimulatedDesign(budget_s=600),
    "ten minutes, stops": SimulatedDesign(budget_s=600, stops=True),
    "ten minutes, stops early": SimulatedDesign(budget_s=600, stops=True, least_part=0),
    "quick, 5 of 1.2 s": SimulatedDesign(blocks=1, window_s=1.2, budget_s=60),
    "quick, 4 of 1.9 s": SimulatedDesign(blocks=1, window_s=1.9, budget_s=60),
    "one deployment": SimulatedDesign(blocks=31),
}


def table(runs: int, seed: int, scale: float) -> Iterator[str]:
    """Write the designs' cells, line by line. Units: percent of the runs, or of the quantity."""
    effects = " / ".join(f"{100 * effect:.0f}" for effect in EFFECTS)
    yield (
        "| design | deployment SD | deployments | s | coverage CPU, rate | half-width CPU, rate "
        f"| precise | equivalent | false alarms | finds {effects} % | could see |"
    )
    yield "|---" * 11 + "|"
    for name, design in DESIGNS.items():
        for spread in DEPLOYMENT_SDS:
            noise = replace(Noise().scaled(scale), deployment_sd=spread)
            one = cell(design, noise, runs=runs, seed=seed)
            power = " / ".join(f"{100 * part:.0f}" for part in one.power)
            yield (
                f"| {name} | {100 * spread:.0f} | {one.deployments:.1f} | {one.seconds:.0f} "
                f"| {100 * one.cpu_coverage:.1f}, {100 * one.rate_coverage:.1f} "
                f"| {100 * one.cpu_half_width:.1f}, {100 * one.rate_half_width:.1f} "
                f"| {100 * one.precise:.0f} | {100 * one.equivalent:.0f} "
                f"| {100 * one.false_alarms:.1f} | {power} "
                f"| {100 * DETECTABLE * one.cpu_half_width:.1f} |"
            )


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

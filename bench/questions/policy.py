"""What do the policies cost? The same world with its flows enforced and without, in turn.

In each round, in random order, `ab` without keep-alive asks the edge while the policy is on, and
while it is off. Off means that neither our chains nor, where the host's own switch allows, iptables
see a frame between neighbours. The limit of new connections is off in both: one client is the
whole load.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from bench.engine import meter, probe
from bench.engine.design import schedule
from bench.engine.estimate import Ratio, below, ratio, spread
from bench.engine.trials import spent_us
from bench.engine.worlds import EDGE
from bench.load import ab
from twinstack.reconcile import Progress
from twinstack.world import LocalWorld

ON, OFF = "policy on", "policy off"
#: What issue 4 asks for: a part of the requests.
WANTED = 0.05
CONCURRENCY = 50
_PATH = "/api/products"


@dataclass(frozen=True, slots=True)
class CostSample:
    """One trial. Units: CPU time in microseconds of one core: the world's own, and the host's."""

    round: int
    what: str
    complete: int
    success: int
    rate: float
    p99_ms: float
    cpu_us: int
    host_us: int


@dataclass(frozen=True, slots=True)
class Cost:
    """The comparison: `rates` off over on, `cpu` and `work` (the whole host's) on over off."""

    samples: tuple[CostSample, ...]
    rates: Ratio
    cpu: Ratio
    work: Ratio
    seed: int

    @property
    def sentence(self) -> str:
        """Say what it costs, and whether that is little enough: the worst end decides."""

        def percent(found: Ratio) -> str:
            ends = f"{found.low - 1:+.1%} to {found.high - 1:+.1%}"
            return f"{found.estimate - 1:+.1%} (95 % interval {ends})"

        return (
            f"Without the policy the edge carries {percent(self.rates)} of the requests that it "
            f"carries with it; below {WANTED:.0%} more: {below(self.rates, 1 + WANTED)}. "
            f"With the policy a request takes {percent(self.cpu)} of the services' CPU time, and "
            f"{percent(self.work)} of the whole host's."
        )


def measure(
    world: LocalWorld, *, rounds: int = 40, requests: int = 500, seed: int = 1, progress: Progress
) -> Cost:
    """Measure on a world that is up, its policy on; it is on again at the end, whatever happened.

    Raises: CannotTell when the samples do not decide; StepFailed.
    """
    endpoint = world.endpoint(EDGE)

    def trial(what: str, number: int) -> CostSample:
        world.apply_policy(policy=what == ON, rate_limit=False)
        size = len(probe.get_ok(endpoint, _PATH).body)
        cpu, before = world.cpu_us(), meter.snapshot()
        said = ab.run(
            endpoint,
            _PATH,
            requests=requests,
            concurrency=CONCURRENCY,
            keepalive=False,
            answer_bytes=size,
        )
        after = meter.snapshot()
        return CostSample(
            number,
            what,
            said.complete,
            said.success,
            said.rate,
            said.p99_ms,
            spent_us(cpu, world.cpu_us()),
            after.busy_us - before.busy_us,
        )

    samples: list[CostSample] = []
    try:
        for what in (ON, OFF):
            trial(what, -1)
        order = schedule([ON, OFF], (), rounds=rounds, others_every=1, seed=seed)
        for number, names in enumerate(order, start=1):
            found = [trial(what, number) for what in names]
            samples += found
            progress(
                f"round {number}/{rounds}: "
                + "  ".join(f"{one.what} {one.rate:,.0f}/s" for one in found)
            )
    finally:
        world.apply_policy(policy=True, rate_limit=True)
    return summarise(samples, seed=seed)


def summarise(samples: Sequence[CostSample], *, seed: int) -> Cost:
    """Turn samples into ratios; pure."""
    own = {
        what: sorted((one for one in samples if one.what == what), key=lambda one: one.round)
        for what in (ON, OFF)
    }
    rates = {what: [one.rate for one in found] for what, found in own.items()}
    cpu = {what: [one.cpu_us / one.complete for one in found] for what, found in own.items()}
    work = {what: [one.host_us / one.complete for one in found] for what, found in own.items()}
    return Cost(
        samples=tuple(samples),
        rates=ratio(rates[OFF], rates[ON], seed=seed),
        cpu=ratio(cpu[ON], cpu[OFF], seed=seed),
        work=ratio(work[ON], work[OFF], seed=seed),
        seed=seed,
    )


def table(found: Cost) -> str:
    """Draw the result, at most 80 columns wide."""
    lines = [
        f"{'':<12}{'req/s':>8}{'(min–max)':>17}{'p99 ms':>8}{'ok':>8}{'CPU µs':>8}{'host µs':>9}"
    ]
    for what in (ON, OFF):
        own = [one for one in found.samples if one.what == what]
        rates = spread([one.rate for one in own])
        complete = sum(one.complete for one in own)
        span = f"({rates.minimum:.0f}–{rates.maximum:.0f})"
        cpu = spread([one.cpu_us / one.complete for one in own]).median
        work = spread([one.host_us / one.complete for one in own]).median
        p99 = spread([one.p99_ms for one in own]).median
        lines.append(
            f"{what:<12}{rates.median:>8.0f}{span:>17}{p99:>8.1f}"
            f"{sum(one.success for one in own) / complete:>8.2%}{cpu:>8.0f}{work:>9.0f}"
        )
    return "\n".join([*lines, textwrap.fill(found.sentence, 80)])

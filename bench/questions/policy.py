"""What do the policies cost? The same world with its flows enforced and without, in turn.

In each round, in random order, `ab` without keep-alive loads the edge while the policy is on, and
while it is off. Off means that neither our chains nor, where the host's own switch allows, iptables
see a frame between neighbours. The edge's rate limit is off in both: one client is the whole load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bench.engine import worlds
from bench.engine.design import interleave, require_rounds
from bench.engine.estimate import Ratio, below, grouped, median, paired
from bench.engine.show import columns, wrap
from bench.engine.store import Outcome
from bench.engine.trials import Trial, cells, edge_trial
from bench.load.ab import AbLoad
from twinstack.errors import CannotTell
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import LocalWorld

ON, OFF = "policy on", "policy off"
#: The most that the policy may cost, as a part of the requests.
MOST = 0.05
LOAD = AbLoad(requests=500)
_SEED = 1


@dataclass(frozen=True, slots=True)
class PolicyCost:
    """The comparison."""

    samples: tuple[Trial, ...]
    rates: Ratio  # off over on
    cpu: Ratio  # on over off, as is `work`: the whole host's CPU time
    work: Ratio
    seed: int

    @property
    def sentence(self) -> str:
        """Say what it costs, and whether that is little enough: the worse end decides."""
        return (
            f"Without the policy: req/s {self.rates.percent}; below {MOST:.0%} more: "
            f"{below(self.rates, 1 + MOST)}. With the policy: CPU time a request "
            f"{self.cpu.percent} in the services, {self.work.percent} on the whole host "
            "(95 % intervals)."
        )


def ask(
    stack: Stack, *, world: str, rounds: int, shape: str | None = None, progress: Progress
) -> Outcome:
    """Measure a world with its policy on and off; it is on at the end, whatever happened.

    Raises: CannotTell when the world has no policy or the samples do not decide; StepFailed.
    """
    require_rounds(rounds)
    name = worlds.named(world)
    chosen = worlds.ready(stack, name, shape, progress)
    if not chosen.plan.policy:
        cause = "it was brought up with --no-policy"
        remedy = f'run "invoke {name}.up"'
        raise CannotTell(f"the {name} world", "cannot be compared", cause, remedy)
    try:
        samples = interleave((ON, OFF), partial(_trial, chosen), rounds, _SEED, progress)
    finally:
        chosen.apply_policy(policy=True, rate_limit=True)
    cost = summarise(samples, seed=_SEED)
    return Outcome(f"policy-{name}", chosen.plan, cost, table(cost))


def _trial(world: LocalWorld, what: str, number: int) -> Trial:
    world.apply_policy(policy=what == ON, rate_limit=False)
    return Trial(what=what, **edge_trial(world, number, LOAD))


def summarise(samples: Sequence[Trial], *, seed: int) -> PolicyCost:
    """Turn samples into ratios; pure."""
    arms = grouped(samples, lambda trial: trial.what)
    on, off = arms[ON], arms[OFF]
    return PolicyCost(
        tuple(samples),
        rates=paired(off, on, "rate", seed=seed),
        cpu=paired(on, off, "cpu_us_per_request", seed=seed),
        work=paired(on, off, "host_us_per_request", seed=seed),
        seed=seed,
    )


def table(cost: PolicyCost) -> str:
    """Draw the result."""
    arms = grouped(cost.samples, lambda trial: trial.what)
    rows = [
        [what, *cells(arms[what]), f"{median(arms[what], 'host_us_per_request'):.0f}"]
        for what in (ON, OFF)
    ]
    head = ["", "req/s", "(min–max)", "p99 ms", "ok", "CPU µs", "host µs"]
    return f"{columns(head, rows)}\n{wrap(cost.sentence)}"

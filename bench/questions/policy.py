"""What do the policies cost? The same world with its flows enforced and without, in turn.

Off means that neither our chains nor, where the host's own switch allows, iptables see a frame
between neighbours. The edge's rate limit is off in both: one client is the whole load.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from bench.engine import worlds
from bench.engine.arm import CPU, RATE, SERVICES_CPU, Arm, Bound, Contrast
from bench.engine.loads import by_ab
from bench.engine.question import Design, Experiment, Outcome, outcome_of, run
from bench.load.ab import AbLoad
from twinstack.reconcile import Progress
from twinstack.stack import Stack

ON, OFF = "policy on", "policy off"
COST = Contrast(ON, OFF)
#: The most that the policy may cost: without it, at most this part more requests are answered.
MOST = 0.05
LOAD = AbLoad(requests=500)


def ask(
    stack: Stack, *, world: str, how: Design, shape: str | None = None, progress: Progress
) -> Outcome:
    """Measure a world with and without its policy. Raises: CannotTell; Missing; StepFailed."""
    chosen = worlds.ready(stack, worlds.named(world), shape, progress)

    @contextmanager
    def enforcing(policy: bool) -> Iterator[None]:
        chosen.apply_policy(policy=policy, rate_limit=False)
        yield

    def arms() -> Iterator[Arm]:
        load = by_ab(chosen.endpoint(worlds.EDGE), LOAD)
        for name in (ON, OFF):
            yield Arm(name, load, chosen.name, partial(enforcing, name == ON))

    experiment = Experiment(
        stage=worlds.redeployed([chosen], arms, progress),
        contrasts=(COST,),
        load=f"ab, {LOAD.requests} new connections a window, {LOAD.path}",
        worlds=[chosen],
        quantities=(CPU, RATE, SERVICES_CPU),
        bounds=(Bound(COST, RATE, 1 / (1 + MOST), least=True),),
    )
    with worlds.lifted([chosen]):
        return outcome_of(run(experiment, how, progress), f"policy-{chosen.name}", chosen.plan)

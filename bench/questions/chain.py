"""What does the chain cost? The whole of it, against its own last link and the seed's chain.

With limits lifted, `ab` without keep-alive measures in each round, in random order: the whole
chain (nginx, gateway, product, Redis); the same product processes called directly, the load
spread over all of them; and the naive chain (see `naive`), in the same namespaces. Redis'
own counters prove that each request read Redis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from bench.engine import meter, worlds
from bench.engine.design import interleave, require_rounds
from bench.engine.estimate import Ratio, above, grouped, paired
from bench.engine.show import columns, wrap
from bench.engine.store import Outcome
from bench.engine.trials import Trial, answer_bytes, cells, sampled
from bench.engine.worlds import EDGE
from bench.load import ab
from bench.load.ab import AbLoad
from bench.questions.naive import NaiveChain, naive_chain
from bench.questions.redis_stats import command_calls
from twinstack.errors import CannotTell
from twinstack.model import bounds
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import Endpoint, LocalWorld

CHAIN, DIRECT, NAIVE = "whole chain", "product services alone", "naive chain"
ARMS = (CHAIN, DIRECT, NAIVE)
#: The least that the chain is to carry, in multiples of what the other carries.
LEAST = {DIRECT: 0.5, NAIVE: 10.0}
CONCURRENCY = 50
DOCKER_IS_UP = (
    "the Docker world is up: its probes take CPU; take it down for the cleanest figure "
    "(invoke docker.down)"
)
_DISTURBED = wrap(
    "The Docker world was up meanwhile: its health probes took CPU from all three. Taken down, "
    "it leaves the cleanest figure."
)
_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainTrial(Trial):
    """One trial; its `cpu_us` is that of all processes that took part in it."""

    redis_reads: int  # GETs that Redis carried out meanwhile
    by_service: dict[str, int]  # the world's part of `cpu_us`


@dataclass(frozen=True, slots=True)
class ChainCost:
    """The comparison, by the other arm; CPU time decides on a busy machine too."""

    samples: tuple[ChainTrial, ...]
    ratios: dict[str, Ratio]  # the whole chain's rate over the other's
    cpu_ratios: dict[str, Ratio]  # the CPU time of a request, likewise
    seed: int
    limited: bool = False

    @property
    def sentences(self) -> tuple[str, ...]:
        """Say each ratio and whether the chain carries enough."""
        sentences = []
        for other, rate in self.ratios.items():
            cpu, least = self.cpu_ratios[other], LEAST[other]
            sentences.append(
                f"The whole chain carries {rate.estimate:.2f} times the requests of the {other} "
                f"(95 % interval {rate.low:.2f} to {rate.high:.2f}), each for {cpu.estimate:.2f} "
                f"times the CPU time ({cpu.low:.2f} to {cpu.high:.2f}); "
                f"at least {least:g} times: {above(rate, least)}."
            )
        return tuple(sentences)


def ask(stack: Stack, *, rounds: int, progress: Progress) -> Outcome:
    """Measure the chain without limits; the world is left as it was. Raises: as `measure`."""
    require_rounds(rounds)
    disturbed = stack.docker_shape() is not None
    if disturbed:
        progress(DOCKER_IS_UP)
    with worlds.left_as_it_was(stack, "net", progress) as was:
        world = stack.net(was.shape, limited=False)
        world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
        with worlds.lifted([world], policy=True):
            cost = measure(stack, world, rounds=rounds, progress=progress)
    notes = [worlds.POLICY_LIFTED, *([_DISTURBED] if disturbed else [])]
    return Outcome("chain", world.plan, cost, "\n".join([table(cost), *notes]))


def measure(stack: Stack, world: LocalWorld, *, rounds: int, progress: Progress) -> ChainCost:
    """Run the comparison on a world that is up.

    Raises: CannotTell when its limits are not lifted, a request did not read Redis, or the samples
    do not decide; Missing; NotHealthy; StepFailed.
    """
    replicas = worlds.limited(world)
    if replicas:
        cause = f"limits hold {', '.join(replicas)}"
        remedy = 'bring the world up without limits ("invoke net.up --no-limits")'
        raise CannotTell("the chain", "cannot be compared", cause, remedy)
    roots, software = stack.software(progress)
    password = stack.redis_password()
    progress("starting the naive chain in the same namespaces")
    with naive_chain(world, roots, software, password) as naive:
        trial = partial(_trial, world, naive, password)
        samples = interleave(ARMS, trial, rounds, _SEED, progress)
    return summarise(samples, seed=_SEED)


def _trial(
    world: LocalWorld, naive: NaiveChain, password: str, what: str, number: int
) -> ChainTrial:
    redis = world.endpoint("redis-cache")
    products = world.plan.replicas_of("product-service")
    endpoints = {
        CHAIN: [world.endpoint(EDGE)],
        DIRECT: [world.endpoint("product-service", replica.number) for replica in products],
        NAIVE: [naive.edge],
    }[what]
    load = AbLoad(
        "/products" if what == DIRECT else "/api/products", 600 if what == NAIVE else 3000
    )
    reads, naive_us = command_calls(redis, password).get("get", 0), naive.cpu_us()
    report, spent = meter.during([world], lambda: _send(endpoints, load))
    return ChainTrial(
        what=what,
        redis_reads=command_calls(redis, password).get("get", 0) - reads,
        by_service=_by_service(world, spent.replicas_us[world.name]),
        **{
            **sampled(number, report, spent, world),
            "cpu_us": round(spent.of(world) + naive.cpu_us() - naive_us),
        },
    )


def _send(endpoints: Sequence[Endpoint], load: AbLoad) -> ab.AbReport:
    """Distribution a load over endpoints, one `ab` each, all at once, and add the reports up."""
    requests = _shares(load.requests, len(endpoints))
    clients = _shares(CONCURRENCY, len(endpoints))

    def run(endpoint: Endpoint, share: int, concurrency: int) -> ab.AbReport:
        own = AbLoad(load.path, share, concurrency)
        return ab.run(endpoint, own, answer_bytes(endpoint, load.path))

    with ThreadPoolExecutor(len(endpoints)) as pool:
        return ab.together(list(pool.map(run, endpoints, requests, clients)))


def _shares(total: int, count: int) -> list[int]:
    return [total // count + (number < total % count) for number in range(count)]


def _by_service(world: LocalWorld, replicas_us: Mapping[str, int]) -> dict[str, int]:
    services: dict[str, int] = {}
    for replica in world.plan.replicas:
        services[replica.service] = services.get(replica.service, 0) + replicas_us[replica.name]
    return services


def summarise(samples: Sequence[ChainTrial], *, seed: int) -> ChainCost:
    """Turn samples into ratios; pure. Raises: CannotTell when a request did not read Redis."""
    for sample in samples:
        if sample.redis_reads < sample.success:
            raise CannotTell(
                sample.what,
                "did not read Redis for every request",
                f"{sample.redis_reads} reads for {sample.success} answers in round {sample.round}",
                "see that Redis is healthy and that nothing answers from memory",
            )
    arms = grouped(samples, lambda trial: trial.what)

    def over(quantity: str) -> dict[str, Ratio]:
        return {other: paired(arms[CHAIN], arms[other], quantity, seed=seed) for other in LEAST}

    return ChainCost(tuple(samples), over("rate"), over("cpu_us_per_request"), seed)


def table(cost: ChainCost) -> str:
    """Draw the result."""
    arms = grouped(cost.samples, lambda trial: trial.what)
    rows = []
    for what in ARMS:
        reads = sum(trial.redis_reads for trial in arms[what])
        success = sum(trial.success for trial in arms[what])
        rows.append([what, *cells(arms[what]), f"{reads / max(1, success):.2f}"])
    lines = [
        columns(["", "req/s", "(min–max)", "p99 ms", "ok", "CPU µs", "GETs"], rows),
        wrap(f"CPU µs of a chain request: {_parts(arms[CHAIN])}."),
        wrap(*cost.sentences),
    ]
    return "\n".join(lines)


def _parts(trials: Sequence[ChainTrial]) -> str:
    """Say which service spends what of a chain request; what spends under 1 µs is left out."""
    complete = sum(trial.complete for trial in trials) or 1
    parts = {
        service: sum(trial.by_service[service] for trial in trials) / complete
        for service in trials[0].by_service
    }
    shown = sorted(parts.items(), key=lambda item: -item[1])
    return ", ".join(f"{service} {us:.0f}" for service, us in shown if us >= 1)

"""What does the chain cost? The whole of it, against its own last link and the seed's chain.

With limits lifted, `ab` without keep-alive loads the whole chain (nginx, gateway, product, Redis);
the same product processes called directly, the load spread over all of them; the naive chain and
our own with `cache: near` (see `chains`), in the same namespaces. Redis' own
counters prove that each request read Redis, but for the last, in which hardly any does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

from bench.engine import worlds
from bench.engine.arm import CPU, PROGRAMS, RATE, Arm, Bound, Contrast
from bench.engine.loads import by_ab
from bench.engine.question import Design, Experiment, Outcome, outcome_of, run
from bench.load import Tally
from bench.load.ab import AbLoad
from bench.questions.chains import naive_chain, near_chain
from twinstack.errors import CannotTell
from twinstack.model import bounds
from twinstack.observe.redis import command_calls
from twinstack.reconcile import Progress
from twinstack.software.roots import Roots
from twinstack.software.secrets import operator_password
from twinstack.software.wheels import Software
from twinstack.stack import Stack
from twinstack.state.paths import InstancePaths
from twinstack.world import Endpoint, LocalWorld

CHAIN, DIRECT, NAIVE = "whole chain", "product services alone", "naive chain"
NEAR = "whole chain, near cache"
#: What is compared, and the least that the first is to carry, in multiples of what the other does.
LEAST = {
    Contrast(CHAIN, DIRECT): 0.5,
    Contrast(CHAIN, NAIVE): 12.0,
    Contrast(NEAR, CHAIN): 1.0,
    Contrast(NEAR, NAIVE): 20.0,
}
#: At most this part of the near cache's answers may have read Redis: copies expire, with its keys.
NEAR_PART = 0.05
CONCURRENCY = 50
DOCKER_IS_UP = (
    "the Docker world is up: its probes take CPU; take it down for the cleanest figure "
    "(invoke docker.down)"
)


def ask(stack: Stack, *, how: Design, progress: Progress) -> Outcome:
    """Measure the chain without limits; the world is left as it was.

    Raises: CannotTell when a request did not read Redis; Missing; NotHealthy; StepFailed.
    """
    disturbed = stack.docker_shape() is not None
    if disturbed:
        progress(DOCKER_IS_UP)
    with worlds.left_as_it_was(stack, "net", progress) as was:
        world = stack.net(was.shape, limited=False)
        world.up(timeout_s=bounds.UP_TIMEOUT_S, progress=progress)
        provided, secrets = stack.software(progress), InstancePaths(stack.instance).secrets
        experiment = Experiment(
            stage=partial(_stage, world, provided, secrets, progress),
            contrasts=tuple(LEAST),
            load=f"ab, {CONCURRENCY} at once, a connection each",
            worlds=[world],
            quantities=(RATE, CPU),
            bounds=tuple(Bound(of, RATE, least, least=True) for of, least in LEAST.items()),
        )
        with worlds.lifted([world], policy=True):
            measured = run(experiment, how, progress)
    notes = [worlds.POLICY_LIFTED, *([f"{DOCKER_IS_UP}."] if disturbed else [])]
    return outcome_of(measured, "chain", world.plan, notes)


@contextmanager
def _stage(
    world: LocalWorld,
    provided: tuple[Roots, Software],
    secrets: Path,
    progress: Progress,
) -> Iterator[Sequence[Arm]]:
    worlds.restart([world], progress)
    password = operator_password(secrets)
    with (
        naive_chain(world, *provided, password) as naive,
        near_chain(world, *provided, secrets) as near,
    ):
        products = [
            world.endpoint("product-service", replica.number)
            for replica in world.plan.replicas_of("product-service")
        ]
        loads = {
            CHAIN: spread([world.endpoint(worlds.EDGE)], "/api/products", 3000),
            DIRECT: spread(products, "/products", 3000),
            NAIVE: spread([naive.edge], "/api/products", 600),
            NEAR: spread([near.edge], "/api/products", 3000),
        }
        parts = dict.fromkeys((*naive.pids(), *near.pids()), PROGRAMS)
        redis = world.endpoint("redis-cache")
        yield [
            Arm(name, proven(name, load, redis, password), world.name, lambda: nullcontext(parts))
            for name, load in loads.items()
        ]


def spread(endpoints: Sequence[Endpoint], path: str, requests: int) -> Callable[[], Tally]:
    """Spread a load over endpoints, one `ab` each, all at once, and add what they counted."""
    shares = (_shares(of, len(endpoints)) for of in (requests, CONCURRENCY))
    loads = [
        by_ab(each[0], AbLoad(path, *each[1:])) for each in zip(endpoints, *shares, strict=True)
    ]

    def load() -> Tally:
        with ThreadPoolExecutor(len(loads)) as pool:
            tallies = [run.result() for run in [pool.submit(load) for load in loads]]
        slowest = max(tallies, key=lambda tally: tally.figures["seconds"])
        done, failed = (sum(map(of, tallies)) for of in (lambda t: t.done, lambda t: t.failed))
        return Tally(done, failed, slowest.figures)

    return load


def proven(
    name: str, load: Callable[[], Tally], redis: Endpoint, password: str
) -> Callable[[], Tally]:
    """Give a load that fails unless each of its requests has read Redis, or hardly any (near)."""

    def proved() -> Tally:
        before = command_calls(redis, password).get("get", 0)
        tally = load()
        reads = command_calls(redis, password).get("get", 0) - before
        cause = f"{reads} reads for {tally.done} answers"
        if name == NEAR and reads > NEAR_PART * tally.done:
            remedy = "see the log of the product service, and that nobody places orders meanwhile"
            raise CannotTell(name, "read Redis too often for a near cache", cause, remedy)
        if name != NEAR and reads < tally.done:
            remedy = "see that Redis is healthy and that nothing answers from memory"
            raise CannotTell(name, "did not read Redis for every request", cause, remedy)
        return tally

    return proved


def _shares(total: int, count: int) -> list[int]:
    return [total // count + (number < total % count) for number in range(count)]

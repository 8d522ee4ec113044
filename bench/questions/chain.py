"""What does the chain cost? The whole of it, against its own last link and the seed's way.

With limits lifted, `ab` without keep-alive measures in each round, in random order: the whole
chain (nginx, gateway, product, Redis); the same product processes called directly, the load
spread over all of them; and the naive chain (see `naive`), in the same namespaces. Redis'
own counters prove that each request read Redis.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from bench.engine import probe
from bench.engine.design import schedule
from bench.engine.estimate import Ratio, above, ratio, spread
from bench.engine.observed import limited
from bench.engine.trials import spent_us
from bench.engine.worlds import EDGE
from bench.load import ab
from bench.questions.naive import naive_chain
from bench.questions.redis_stats import command_calls
from twinstack.errors import CannotTell
from twinstack.reconcile import Progress
from twinstack.software.roots import Roots
from twinstack.software.wheels import Software
from twinstack.world import Endpoint, LocalWorld

CHAIN, DIRECT, NAIVE = "whole chain", "product services alone", "naive chain"
#: What issue 2 asks for.
WANTED = {DIRECT: 0.5, NAIVE: 10.0}
CONCURRENCY = 50


@dataclass(frozen=True, slots=True)
class ChainSample:
    """One trial. `redis_reads` counts the GETs that Redis carried out meanwhile.

    Units: `cpu_us` in microseconds of one core, all processes that had a part in it;
    `by_service` the world's own part of it.
    """

    round: int
    what: str
    complete: int
    success: int
    rate: float
    p99_ms: float
    redis_reads: int
    cpu_us: int
    by_service: dict[str, int]


@dataclass(frozen=True, slots=True)
class Chain:
    """The comparison; `ratios` are the whole chain's rate over the other's, `cpu_ratios` the
    CPU time of one of its requests over the other's: that holds on a busy machine too.
    """

    samples: tuple[ChainSample, ...]
    ratios: dict[str, Ratio]
    cpu_ratios: dict[str, Ratio]
    limited: bool
    seed: int

    @property
    def sentences(self) -> tuple[str, ...]:
        """Say each ratio and whether the wanted one holds."""
        said = []
        for other, found in self.ratios.items():
            cpu = self.cpu_ratios[other]
            said.append(
                f"The whole chain carries {found.estimate:.2f} times the requests of the {other} "
                f"(95 % interval {found.low:.2f} to {found.high:.2f}), each for "
                f"{cpu.estimate:.2f} times the CPU time ({cpu.low:.2f} to {cpu.high:.2f}); "
                f"at least {WANTED[other]:g} times: {above(found, WANTED[other])}."
            )
        return tuple(said)


def measure(
    world: LocalWorld,
    roots: Roots,
    software: Software,
    redis_password: str,
    *,
    rounds: int = 8,
    requests: int = 3000,
    naive_requests: int = 600,
    seed: int = 1,
    allow_limits: bool = False,
    progress: Progress,
) -> Chain:
    """Run the comparison on a world that is up.

    Raises: CannotTell when its limits are not lifted (unless allowed), a request did not read
    Redis, or the samples do not decide; Missing; NotHealthy; StepFailed.
    """
    held = limited(world)
    if held and not allow_limits:
        raise CannotTell(
            "the chain",
            "cannot be compared",
            f"limits hold {', '.join(held)}",
            'bring the world up without limits ("invoke net.up --no-limits")',
        )
    replicas = world.plan.replicas_of("product-service")
    products = [world.endpoint("product-service", one.number) for one in replicas]
    redis = world.endpoint("redis-cache")
    with ExitStack() as stack:
        progress("starting the naive chain in the same namespaces")
        naive = stack.enter_context(naive_chain(world, roots, software, redis_password))
        loads: dict[str, Callable[[], ab.AbReport]] = {
            CHAIN: lambda: _load([world.endpoint(EDGE)], "/api/products", requests),
            DIRECT: lambda: _load(products, "/products", requests),
            NAIVE: lambda: _load([naive.edge], "/api/products", naive_requests),
        }

        def trial(what: str, round_: int) -> ChainSample:
            reads = command_calls(redis, redis_password).get("get", 0)
            cpu, naive_us = world.cpu_us(), naive.cpu_us()
            report = loads[what]()
            cpu_after = world.cpu_us()
            cpu_us = spent_us(cpu, cpu_after) + naive.cpu_us() - naive_us
            services = _by_service(world, cpu, cpu_after)
            reads = command_calls(redis, redis_password).get("get", 0) - reads
            return ChainSample(
                round_,
                what,
                report.complete,
                report.success,
                report.rate,
                report.p99_ms,
                reads,
                cpu_us,
                services,
            )

        for what in loads:
            progress(f"warm-up: {what}")
            trial(what, -1)
        samples = []
        order = schedule(list(loads), (), rounds=rounds, others_every=1, seed=seed)
        for number, names in enumerate(order, start=1):
            found = [trial(what, number) for what in names]
            samples += found
            figures = "  ".join(f"{one.what} {one.rate:,.0f}/s" for one in found)
            progress(f"round {number}/{rounds}: {figures}")
    return summarise(samples, limited=bool(held), seed=seed)


def summarise(samples: Sequence[ChainSample], *, limited: bool, seed: int) -> Chain:
    """Turn samples into ratios; pure. Raises: CannotTell when a request did not read Redis."""
    for sample in samples:
        if sample.redis_reads < sample.success:
            raise CannotTell(
                sample.what,
                "did not read Redis for every request",
                f"{sample.redis_reads} reads for {sample.success} answers in round {sample.round}",
                "see that Redis is healthy and that nothing answers from memory",
            )
    rates = {
        what: [one.rate for one in samples if one.what == what] for what in (CHAIN, DIRECT, NAIVE)
    }
    cpu = {
        what: [one.cpu_us / one.complete for one in samples if one.what == what]
        for what in (CHAIN, DIRECT, NAIVE)
    }
    others = (DIRECT, NAIVE)
    return Chain(
        samples=tuple(samples),
        ratios={other: ratio(rates[CHAIN], rates[other], seed=seed) for other in others},
        cpu_ratios={other: ratio(cpu[CHAIN], cpu[other], seed=seed) for other in others},
        limited=limited,
        seed=seed,
    )


def table(found: Chain) -> str:
    """Draw the result, at most 80 columns wide."""
    lines = [f"{'':<23}{'req/s':>8}{'(min–max)':>17}{'p99 ms':>8}{'ok':>8}{'CPU µs':>8}{'GETs':>6}"]
    for what in (CHAIN, DIRECT, NAIVE):
        own = [one for one in found.samples if one.what == what]
        rates = spread([one.rate for one in own])
        span = f"({rates.minimum:.0f}–{rates.maximum:.0f})"
        complete, success = sum(one.complete for one in own), sum(one.success for one in own)
        reads = sum(one.redis_reads for one in own) / max(1, success)
        cpu_us = spread([one.cpu_us / one.complete for one in own]).median
        p99 = spread([one.p99_ms for one in own]).median
        lines.append(
            f"{what:<23}{rates.median:>8.0f}{span:>17}{p99:>8.1f}"
            f"{success / complete:>8.2%}{cpu_us:>8.0f}{reads:>6.2f}"
        )
    lines.append(textwrap.fill(f"CPU µs of a chain request: {_parts(found.samples)}.", 80))
    if found.limited:
        lines.append("Limits were NOT lifted.")
    return "\n".join([*lines, *(textwrap.fill(one, 80) for one in found.sentences)])


def _by_service(world: LocalWorld, before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for replica in world.plan.replicas:
        spent = after[replica.name] - before[replica.name]
        found[replica.service] = found.get(replica.service, 0) + spent
    return found


def _parts(samples: Sequence[ChainSample]) -> str:
    """Say which service spends what of a chain request; what spends under 1 µs is left out."""
    own = [one for one in samples if one.what == CHAIN]
    complete = sum(one.complete for one in own) or 1
    parts = {
        name: sum(one.by_service.get(name, 0) for one in own) / complete
        for name in own[0].by_service
    }
    shown = sorted(parts.items(), key=lambda one: -one[1])
    return ", ".join(f"{name} {us:.0f}" for name, us in shown if us >= 1)


def _load(endpoints: Sequence[Endpoint], path: str, requests: int) -> ab.AbReport:
    """Spread a load over endpoints, one `ab` each, all at once, and add the reports up."""
    shares = _shares(requests, len(endpoints))
    clients = _shares(CONCURRENCY, len(endpoints))

    def one(endpoint: Endpoint, share: int, concurrency: int) -> ab.AbReport:
        size = len(probe.get_ok(endpoint, path).body)
        return ab.run(
            endpoint,
            path,
            requests=share,
            concurrency=concurrency,
            keepalive=False,
            answer_bytes=size,
        )

    with ThreadPoolExecutor(len(endpoints)) as pool:
        return together(list(pool.map(one, endpoints, shares, clients)))


def together(reports: Sequence[ab.AbReport]) -> ab.AbReport:
    """Add up runs that were at work at once; the slowest gives the time and the latencies; pure."""
    slowest = max(reports, key=lambda one: one.seconds)
    return ab.AbReport(
        complete=sum(one.complete for one in reports),
        non_2xx=sum(one.non_2xx for one in reports),
        lost=sum(one.lost for one in reports),
        seconds=slowest.seconds,
        transferred_bytes=sum(one.transferred_bytes for one in reports),
        body_bytes=sum(one.body_bytes for one in reports),
        mean_ms=slowest.mean_ms,
        p50_ms=slowest.p50_ms,
        p95_ms=slowest.p95_ms,
        p99_ms=max(one.p99_ms for one in reports),
    )


def _shares(total: int, count: int) -> list[int]:
    return [total // count + (place < total % count) for place in range(count)]

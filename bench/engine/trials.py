"""Measure targets in interleaved rounds and keep every sample.

A `Target` is an entry into a world. In each round every target is loaded once by `ab`, in random
order (see `schedule`), while nothing else is asked of either world: that is observed before each
trial, not assumed. Beside what `ab` says, a sample holds the CPU time that the world's cgroups
spent, and what the whole host spent on top (the engine's proxies, softirq, the health probes).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.engine import meter, probe
from bench.engine.design import schedule
from bench.load import ab
from twinstack.errors import CannotTell
from twinstack.reconcile import Progress
from twinstack.world import Endpoint, LocalWorld

#: conntrack forgets a closed connection after 120 s, the kernel after 60 s.
ROOM_S = 130.0


@dataclass(frozen=True, slots=True)
class Load:
    """What one trial sends."""

    path: str = "/api/products"
    requests: int = 1000
    concurrency: int = 50
    keepalive: bool = False
    timeout_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Target:
    """One entry into a world, under the name of its row; `path` where it is not the load's."""

    name: str
    world: LocalWorld
    endpoint: Endpoint
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One trial. Units: as named; CPU in microseconds of one core, whole trial.

    `cpu_us` is the world's own (all replicas), `rest_us` what it would have spent meanwhile had
    nobody asked, `host_us` the whole host's busy time without the load generator's,
    `others_cpu_us` what the other worlds spent meanwhile; all of it within `window_s`.
    """

    round: int
    place: int
    target: str
    complete: int
    success: int
    non_2xx: int
    lost: int
    seconds: float
    rate: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    transferred_bytes: int
    cpu_us: int
    rest_us: int
    host_us: int
    client_us: int
    stolen_us: int
    others_cpu_us: int
    window_s: float
    load: float

    @property
    def cpu_us_per_request(self) -> float:
        """Give the world's CPU time for each request."""
        return self.cpu_us / self.complete if self.complete else 0.0

    @property
    def work_us_per_request(self) -> float:
        """Give the world's CPU time for each request beyond what it spends at rest."""
        return max(0, self.cpu_us - self.rest_us) / self.complete if self.complete else 0.0

    @property
    def host_us_per_request(self) -> float:
        """Give the host's CPU time for each request, the load generator's left out."""
        return self.host_us / self.complete if self.complete else 0.0


@dataclass(frozen=True, slots=True)
class Rest:
    """What is spent when nobody asks anything: probes, heartbeats, timers.

    Units: microseconds of CPU per second.
    """

    cpu_us_per_s: dict[str, float]
    host_us_per_s: float


def measure(
    compared: Sequence[Target],
    others: Sequence[Target],
    load: Load,
    *,
    rounds: int,
    others_every: int = 3,
    warmups: int = 1,
    seed: int,
    at_rest: Rest | None = None,
    progress: Progress,
) -> tuple[Sample, ...]:
    """Measure `compared` in every round and `others` in every few.

    Raises: CannotTell when a target does not answer 2xx, another client is at work, or a replica
    restarted; StepFailed when `ab` gives up.
    """
    targets = {target.name: target for target in (*compared, *others)}
    idle = at_rest.cpu_us_per_s if at_rest else {}
    answer_bytes = {
        name: len(probe.get_ok(target.endpoint, target.path or load.path).body)
        for name, target in targets.items()
    }

    def trial(name: str, round_: int, place: int) -> Sample:
        target = targets[name]
        _await_room(target.endpoint, load, progress)
        others = tuple(targets.values())
        sample = _trial(target, others, load, answer_bytes[name], round_, place)
        resting_us = sample.window_s * idle.get(target.world.name, 0.0)
        return replace(sample, rest_us=int(resting_us))

    for number in range(warmups):
        for name in targets:
            progress(f"warm-up {number + 1}/{warmups}: {name}")
            trial(name, -1, 0)
    samples = []
    order = schedule(
        [target.name for target in compared],
        [target.name for target in others],
        rounds=rounds,
        others_every=others_every,
        seed=seed,
    )
    for round_, names in enumerate(order, start=1):
        found = [trial(name, round_, place) for place, name in enumerate(names)]
        samples.extend(found)
        figures = "  ".join(f"{one.target} {one.rate:,.0f}/s" for one in found)
        progress(f"round {round_}/{rounds}: {figures}")
    return tuple(samples)


def rest(worlds: Sequence[LocalWorld], *, seconds: float) -> Rest:
    """Watch worlds at rest for a while."""
    before, start = [world.cpu_us() for world in worlds], meter.snapshot()
    time.sleep(seconds)
    after, end = [world.cpu_us() for world in worlds], meter.snapshot()
    elapsed = end.clock_s - start.clock_s
    return Rest(
        cpu_us_per_s={
            world.name: spent_us(was, now) / elapsed
            for world, was, now in zip(worlds, before, after, strict=True)
        },
        host_us_per_s=(end.busy_us - start.busy_us) / elapsed,
    )


def spent_us(before: dict[str, int], after: dict[str, int]) -> int:
    """Add up what each replica spent between two readings.

    Raises: CannotTell when a counter went back or a replica came or went: it was restarted.
    """
    changed = set(before) ^ set(after)
    changed |= {name for name in before if name in after and after[name] < before[name]}
    if changed:
        raise CannotTell(
            ", ".join(sorted(changed)),
            "restarted during a trial",
            "its CPU counter began anew",
            "look at its log, then measure again",
        )
    return sum(after[name] - before[name] for name in before)


def _trial(
    target: Target,
    targets: Sequence[Target],
    load: Load,
    answer_bytes: int,
    round_: int,
    place: int,
) -> Sample:
    others = list({id(one.world): one.world for one in targets}.values())
    others = [world for world in others if world is not target.world]
    for one in targets:
        _check_quiet(one)
    opened_s = time.monotonic()
    was, others_were = target.world.cpu_us(), [world.cpu_us() for world in others]
    start = meter.snapshot()
    report = ab.run(
        target.endpoint,
        target.path or load.path,
        requests=load.requests,
        concurrency=load.concurrency,
        keepalive=load.keepalive,
        answer_bytes=answer_bytes,
        timeout_s=load.timeout_s,
    )
    end = meter.snapshot()
    now, others_are = target.world.cpu_us(), [world.cpu_us() for world in others]
    closed_s = time.monotonic()
    client_us = end.client_us - start.client_us
    return Sample(
        round=round_,
        place=place,
        target=target.name,
        complete=report.complete,
        success=report.success,
        non_2xx=report.non_2xx,
        lost=report.lost,
        seconds=report.seconds,
        rate=report.rate,
        mean_ms=report.mean_ms,
        p50_ms=report.p50_ms,
        p95_ms=report.p95_ms,
        p99_ms=report.p99_ms,
        transferred_bytes=report.transferred_bytes,
        cpu_us=spent_us(was, now),
        rest_us=0,  # `measure` knows the rate
        host_us=max(0, end.busy_us - start.busy_us - client_us),
        client_us=client_us,
        stolen_us=end.stolen_us - start.stolen_us,
        others_cpu_us=sum(map(spent_us, others_were, others_are)),
        window_s=closed_s - opened_s,
        load=end.load,
    )


def _check_quiet(target: Target) -> None:
    """See that nobody on this host is connected to an entry before a trial."""
    deadline = time.monotonic() + 2.0  # the last trial's connections may still be closing
    while meter.connections(target.endpoint.address, target.endpoint.port):
        if time.monotonic() > deadline:
            raise CannotTell(
                target.name,
                "is not idle",
                f"a client is connected to {target.endpoint.url()}",
                "stop it (a browser, a dashboard, another benchmark) and measure again",
            )
        time.sleep(0.02)


def _await_room(endpoint: Endpoint, load: Load, progress: Progress) -> None:
    """Wait until the last trials' connections have left the kernel's tables.

    Raises: CannotTell when they do not.
    """
    if load.keepalive:
        return
    deadline = time.monotonic() + ROOM_S
    told = False
    while lacking := meter.room(endpoint.address, endpoint.port).lacks(load.requests):
        if time.monotonic() > deadline:
            raise CannotTell(
                endpoint.url(),
                "cannot be loaded now",
                f"this host is short of {lacking}",
                "see what else opens connections here, or measure with --keepalive",
            )
        if not told:
            progress(f"waiting until {lacking} are free again (two minutes at most)")
            told = True
        time.sleep(1)

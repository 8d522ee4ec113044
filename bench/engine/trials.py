"""Trials of `ab`: one load on one entry point of a world, and what it took.

A `Target` is an entry point into a world. `measure` loads several in interleaved rounds (see
`design`), while no other client is connected to either world: that is checked before each trial.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.engine import design, meter, probe
from bench.engine.estimate import median, spread
from bench.engine.meter import Rest, Spending
from bench.engine.show import extremes, part
from bench.engine.worlds import EDGE
from bench.load import ab
from bench.load.ab import AbLoad
from twinstack.errors import CannotTell
from twinstack.reconcile import Progress
from twinstack.world import Endpoint, LocalWorld

#: conntrack forgets a closed connection after 120 s, the kernel after 60 s.
ROOM_S = 130.0


@dataclass(frozen=True, slots=True)
class Target:
    """One entry point into a world, under the name of its row."""

    name: str
    world: LocalWorld
    endpoint: Endpoint
    path: str | None = None  # where it is not the load's


@dataclass(frozen=True, slots=True, kw_only=True)
class AbSample:
    """One trial of `ab`. Units: as named, CPU time in microseconds of the whole trial."""

    round: int
    complete: int
    success: int  # answers that were 2xx and whole
    non_2xx: int
    lost: int
    seconds: float
    rate: float  # successes per second
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    transferred_bytes: int
    cpu_us: int  # the world's replicas
    host_us: int  # the whole machine, load generator left out
    client_us: int  # the load generator
    stolen_us: int
    window_s: float  # in which all of that was spent
    load: float  # the load average

    @property
    def cpu_us_per_request(self) -> float:
        return self.cpu_us / self.complete if self.complete else 0.0

    @property
    def host_us_per_request(self) -> float:
        return self.host_us / self.complete if self.complete else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial(AbSample):
    """One trial of an arm."""

    what: str  # the arm


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(AbSample):
    """One trial of a target."""

    place: int  # within its round
    target: str
    rest_us: int  # CPU time that the world would have spent meanwhile at rest
    others_cpu_us: int  # what the other worlds spent meanwhile

    @property
    def transferred_bytes_per_s(self) -> float:
        return self.transferred_bytes / self.seconds

    @property
    def work_us_per_request(self) -> float:
        """Give the replicas' CPU time per request beyond what they spend at rest."""
        return max(0, self.cpu_us - self.rest_us) / self.complete if self.complete else 0.0


#: The fields of a sample that a report of `ab` has too.
_REPORTED = [name for name in AbSample.__dataclass_fields__ if hasattr(ab.AbReport, name)]


def sampled(number: int, report: ab.AbReport, spent: Spending, world: LocalWorld) -> dict[str, Any]:
    """Give the fields of a sample that a report and what was spent meanwhile fill."""
    return {
        "round": number,
        **{name: getattr(report, name) for name in _REPORTED},
        "cpu_us": spent.of(world),
        "host_us": spent.host_us,
        "client_us": spent.client_us,
        "stolen_us": spent.stolen_us,
        "window_s": spent.seconds,
        "load": spent.load,
    }


def edge_trial(world: LocalWorld, number: int, load: AbLoad) -> dict[str, Any]:
    """Load a world's edge once; gives the fields of a trial. Raises: as `ab.run`; CannotTell."""
    endpoint = world.endpoint(EDGE)
    size = answer_bytes(endpoint, load.path)
    report, spent = meter.during([world], lambda: ab.run(endpoint, load, size))
    return sampled(number, report, spent, world)


def answer_bytes(endpoint: Endpoint, path: str) -> int:
    """Give the size of one answer's body. Raises: CannotTell when it is not 2xx."""
    return len(probe.get_ok(endpoint, path).body)


def cells(trials: Sequence[AbSample]) -> list[str]:
    """Give a row's cells: req/s, (min–max), p99 ms, ok, CPU µs."""
    rates = spread([trial.rate for trial in trials])
    complete = sum(trial.complete for trial in trials)
    return [
        f"{rates.median:.0f}",
        extremes(rates),
        f"{median(trials, 'p99_ms'):.1f}",
        part(sum(trial.success for trial in trials) / complete),
        f"{median(trials, 'cpu_us_per_request'):.0f}",
    ]


def measure(
    compared: Sequence[Target],
    others: Sequence[Target],
    load: AbLoad,
    *,
    rounds: int,
    others_every: int = 3,
    warmups: int = 1,
    seed: int,
    at_rest: Rest,
    progress: Progress,
) -> tuple[Sample, ...]:
    """Measure `compared` in every round and `others` in every few.

    Raises: CannotTell when a target does not answer 2xx, another client is connected, or a
    replica restarted; StepFailed when `ab` gives up.
    """
    targets = {target.name: target for target in (*compared, *others)}
    worlds = each_world(targets.values())
    loads = {name: replace(load, path=target.path or load.path) for name, target in targets.items()}
    sizes = {
        name: answer_bytes(target.endpoint, loads[name].path) for name, target in targets.items()
    }
    places = Counter[int]()

    def trial(name: str, number: int) -> Sample:
        target = targets[name]
        _await_room(target.endpoint, load, progress)
        for other in targets.values():
            _check_quiet(other)
        report, spent = meter.during(
            worlds, lambda: ab.run(target.endpoint, loads[name], sizes[name])
        )
        places[number] += 1
        return Sample(
            **sampled(number, report, spent, target.world),
            place=places[number] - 1,
            target=name,
            rest_us=int(spent.seconds * at_rest.cpu_us_per_s[target.world.name]),
            others_cpu_us=sum(map(spent.of, worlds)) - spent.of(target.world),
        )

    samples = design.interleave(
        [target.name for target in compared],
        trial,
        rounds,
        seed,
        progress,
        others=[target.name for target in others],
        others_every=others_every,
        warmups=warmups,
    )
    return tuple(samples)


def each_world(targets: Iterable[Target]) -> tuple[LocalWorld, ...]:
    """Give the worlds that targets enter, each once."""
    return tuple({target.world.name: target.world for target in targets}.values())


def _check_quiet(target: Target) -> None:
    """Check that no client on this host is connected to an entry point. Raises: CannotTell."""
    deadline = time.monotonic() + 2.0  # the last trial's connections may still be closing
    while meter.connections(target.endpoint.address, target.endpoint.port):
        if time.monotonic() > deadline:
            cause = f"a client is connected to {target.endpoint.url()}"
            remedy = "stop it (a browser, a dashboard, another benchmark) and measure again"
            raise CannotTell(target.name, "is not idle", cause, remedy)
        time.sleep(0.02)


def _await_room(endpoint: Endpoint, load: AbLoad, progress: Progress) -> None:
    """Wait until earlier connections have left the kernel's tables. Raises: CannotTell."""
    if load.keepalive:
        return
    deadline = time.monotonic() + ROOM_S
    announced = False
    while lacking := meter.room(endpoint.address, endpoint.port).lacks(load.requests):
        if time.monotonic() > deadline:
            cause = f"this host is short of {lacking}"
            remedy = "see what else opens connections here, or measure with --keepalive"
            raise CannotTell(endpoint.url(), "cannot be loaded now", cause, remedy)
        if not announced:
            progress(f"waiting until {lacking} are free again (two minutes at most)")
            announced = True
        time.sleep(1)

"""What does an open dashboard cost what it watches, and does it show the rate that is sent?

wrk loads the edge without a break, over kept connections. In each round, in random order, a window
of it with no dashboard open, one with a dashboard and a reader of its samples, and one with a real
Chromium that shows the page as well. The Chromium draws on this machine's own cores, so what it
costs includes the browser's work. A window lasts two of the dashboard's seconds.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.engine import meter, windows, worlds
from bench.engine.design import interleave, require_rounds
from bench.engine.estimate import Holds, Ratio, below, exit_code, grouped, median, paired, spread
from bench.engine.show import columns, extremes, wrap
from bench.engine.store import Outcome
from bench.engine.trials import answer_bytes
from bench.engine.windows import Window
from bench.load import ab, onlookers, wrk
from bench.load.ab import AbLoad, AbReport
from bench.load.wrk import WrkReport
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import LocalWorld

NOBODY, WATCHED, SHOWN = "nobody looks", "dashboard", "and Chromium"
#: The most that a dashboard may cost, as a part of the requests; and how near its rate must be.
MOST, NEAR = 0.03, 0.05
CONCURRENCY = 20
#: How long a window lasts, and, roughly, a trial of ab that rates are compared in.
_WINDOW_S, _LONG_S, _LONG_TRIALS = 2.0, 30.0, 5
#: A resumed program has work that waited; and how long a world at rest is watched.
_TURN_S, _SETTLE_S, _REST_S = 0.3, 1.2, 20.0
_PATH = "/api/products"


@dataclass(frozen=True, slots=True)
class WatchedWindow:
    """A window of the load, and who was looking."""

    round: int
    what: str
    window: Window


@dataclass(frozen=True, slots=True)
class Agreement:
    """A run of ab beside what the dashboard showed meanwhile."""

    sent_rate: float
    shown_rate: float  # the mean of its samples
    sent: int
    counted: int
    probes: int = 0  # as many of the engine's own may have come between

    @property
    def off(self) -> float:
        """Give the difference of the rates as a part of what was sent."""
        return self.shown_rate / self.sent_rate - 1

    @property
    def agrees(self) -> bool:
        """Tell whether the rate was near, and every request counted once."""
        return abs(self.off) <= NEAR and 0 <= self.counted - self.sent <= self.probes


@dataclass(frozen=True, slots=True)
class AtRest:
    """What it takes while nothing is requested. Units: microseconds of CPU per second."""

    what: str
    world: float  # all replicas
    board: float  # the dashboard's own processes
    screen: float  # the browser's


@dataclass(frozen=True, slots=True)
class DashboardCost:
    """The comparison, by who was looking."""

    rest: tuple[AtRest, ...]
    trials: tuple[WatchedWindow, ...]
    load: WrkReport
    rates: dict[str, Ratio]  # without viewers over with them
    cpu: dict[str, Ratio]  # the world's CPU time, with viewers over without
    agreements: tuple[Agreement, ...]
    seed: int

    def holds(self, what: str) -> Holds:
        """Tell whether it costs little enough: only the whole interval decides."""
        return below(self.rates[what], 1 / (1 - MOST))

    @property
    def agrees(self) -> bool:
        """Tell whether every rate was near, and every request counted once."""
        return all(agreement.agrees for agreement in self.agreements)

    @property
    def code(self) -> int:
        """Give the exit code: 0 all hold, 1 something fails, 2 the samples leave it open."""
        whole = self.agrees and not self.load.failed
        return exit_code(self.holds(WATCHED), "holds" if whole else "fails")


def ask(stack: Stack, *, world: str, rounds: int, shape: str | None, progress: Progress) -> Outcome:
    """Measure. Raises: Missing without chromium; StepFailed; TwinstackError for odd options."""
    require_rounds(rounds)
    name = worlds.named(world)
    chosen = worlds.ready(stack, name, shape, progress)
    with worlds.lifted([chosen]):
        cost = measure(chosen, rounds=rounds, progress=progress)
    return Outcome(f"dashboard-{name}", chosen.plan, cost, table(cost), cost.code)


def measure(world: LocalWorld, *, rounds: int, progress: Progress) -> DashboardCost:
    """Measure on a world that is up. Raises: as `ask`; CannotTell."""
    seed = random.SystemRandom().getrandbits(32)
    endpoint = world.endpoint(worlds.EDGE)
    size = answer_bytes(endpoint, _PATH)

    def load(requests: int) -> AbReport:
        return ab.run(endpoint, AbLoad(_PATH, requests, CONCURRENCY, keepalive=True), size)

    rate = max(load(1_000).rate, load(2_000).rate)
    with ExitStack() as stack:
        board, url, reader = stack.enter_context(onlookers.served(world.name))
        screen = stack.enter_context(onlookers.browser(url))
        looking = {NOBODY: set[onlookers.ProcessGroup](), WATCHED: {board}, SHOWN: {board, screen}}

        def look(what: str, settle_s: float) -> None:
            for group in (board, screen):
                (group.resume if group in looking[what] else group.pause)()
            time.sleep(settle_s)

        def at_rest(what: str) -> AtRest:
            look(what, _SETTLE_S)
            before = board.cpu_us(), screen.cpu_us()
            _, spent = meter.during([world], lambda: time.sleep(_REST_S))
            own = (board.cpu_us() - before[0], screen.cpu_us() - before[1])
            return AtRest(what, *(us / spent.seconds for us in (spent.of(world), *own)))

        rest = [at_rest(what) for what in looking]
        count = stack.enter_context(windows.counting(world))
        most_s = round(2 * 3 * rounds * (_WINDOW_S + _TURN_S)) + 60
        with wrk.asking(endpoint.url(_PATH), connections=CONCURRENCY, most_s=most_s) as asking:

            def trial(what: str, number: int) -> WatchedWindow:
                look(what, _TURN_S)
                window = windows.window(world, count, asking, _WINDOW_S)
                return WatchedWindow(number, what, window)

            time.sleep(_SETTLE_S)
            trials = interleave(
                tuple(looking), trial, rounds, seed, progress, warmups=0, figure="window.rate"
            )
            sent = asking.stop()
        look(WATCHED, _SETTLE_S)
        health = world.plan.replica(worlds.EDGE).health
        probe_s = health.interval_s if world.name == "docker" else None
        requests = round(rate * _LONG_S)
        agreements = [_agreement(reader, load, requests, probe_s) for _ in range(_LONG_TRIALS)]
        screen.resume()
    return summarise(rest, trials, sent, agreements, seed=seed)


def _agreement(
    reader: onlookers.Reader, load: Callable[[int], AbReport], requests: int, probe_s: float | None
) -> Agreement:
    """Compare one run of ab with what was shown; Docker's engine probes the edge too."""
    before = reader.newest(after=time.time())
    start = time.time()
    report = load(requests)
    end = time.time()
    after = reader.newest(after=end + 0.5)
    rates = [
        sample["rate"]
        for sample in reader.samples
        if sample["rate"] is not None and start + 1.3 < sample["at"] < end
    ]
    probes = 0 if probe_s is None else math.ceil((after["at"] - before["at"]) / probe_s)
    counted = after["total"] - before["total"]
    return Agreement(report.rate, statistics.fmean(rates), report.complete, counted, probes)


def summarise(
    rest: Sequence[AtRest],
    trials: Sequence[WatchedWindow],
    load: WrkReport,
    agreements: Sequence[Agreement],
    *,
    seed: int,
) -> DashboardCost:
    """Turn windows into ratios; pure."""
    arms = grouped(trials, lambda trial: trial.what)
    watched = (WATCHED, SHOWN)
    return DashboardCost(
        tuple(rest),
        tuple(trials),
        load,
        {what: paired(arms[NOBODY], arms[what], "window.rate", seed=seed) for what in watched},
        {
            what: paired(arms[what], arms[NOBODY], "window.cpu_us_per_request", seed=seed)
            for what in watched
        },
        tuple(agreements),
        seed,
    )


def table(cost: DashboardCost) -> str:
    """Draw the result."""
    arms = grouped(cost.trials, lambda trial: trial.what)
    rows = []
    for what in (NOBODY, WATCHED, SHOWN):
        rates = spread([trial.window.rate for trial in arms[what]])
        cpu, host = (median(arms[what], f"window.{of}_us_per_request") for of in ("cpu", "host"))
        rows.append([what, f"{rates.median:.0f}", extremes(rates), f"{cpu:.0f}", f"{host:.0f}"])
    sent = cost.load
    answers = f"{sent.success:,} answers in {sent.seconds:.0f} s, {sent.failed} failed"
    lines = [
        columns(["", "req/s", "(min–max)", "CPU µs", "host µs"], rows),
        f"wrk, {CONCURRENCY} connections: {answers}; p99 {sent.p99_ms:.1f} ms.",
        wrap(_sentence(cost, WATCHED), _sentence(cost, SHOWN)),
    ]
    for still in cost.rest:
        ms = (f"{us / 1e3:.1f}" for us in (still.world, still.board, still.screen))
        lines.append(f"At rest, {still.what}: CPU ms/s: world, dashboard, browser {', '.join(ms)}")
    for run in cost.agreements:
        probes = f", with at most {run.probes} probes of the engine's" if run.probes else ""
        lines.append(
            wrap(
                f"ab sent {run.sent_rate:,.1f} req/s, the dashboard showed {run.shown_rate:,.1f} "
                f"({run.off:+.1%}); it counted {run.counted:,} of {run.sent:,}{probes}."
            )
        )
    holds = "holds" if cost.agrees else "fails"
    return "\n".join([*lines, f"Within {NEAR:.0%}, and each request counted once: {holds}."])


def _sentence(cost: DashboardCost, what: str) -> str:
    with_it = "With the dashboard" if what == WATCHED else "With Chromium showing it as well"
    return (
        f"{with_it} the edge answers {cost.rates[what].saved} fewer requests; below {MOST:.0%}: "
        f"{cost.holds(what)}. CPU per request {cost.cpu[what].percent}."
    )

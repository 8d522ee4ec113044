"""What does an open dashboard cost what it watches, and does it say the rate that is sent?

wrk asks the edge without a break, over kept connections. In each round, in random order, a window
of it with nobody looking, one with a dashboard and one who takes its samples, and one with a real
Chromium that shows the page as well. The Chromium draws on this machine's own cores, so what it
costs is the browser's work too. A window lasts two of the dashboard's seconds.
"""

from __future__ import annotations

import math
import random
import statistics
import textwrap
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.engine import probe, windows, worlds
from bench.engine.design import require_rounds, schedule
from bench.engine.estimate import Holds, Ratio, below, exit_code, ratio, spread
from bench.engine.trials import spent_us
from bench.engine.windows import Window
from bench.load import ab, onlookers
from bench.load.wrk import WrkReport
from bench.questions.catalogue import Answer
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import LocalWorld

NOBODY, WATCHED, SHOWN = "nobody looks", "dashboard", "and Chromium"
#: Issue 5: a part of the requests; and how near the dashboard's rate must be.
WANTED, NEAR = 0.03, 0.05
CONCURRENCY = 20
#: How long windows last, and, roughly, the trials of ab that rates are compared in.
_WINDOW_S, _LONG_S, _LONG_TRIALS = 2.0, 30.0, 5
#: What is let go on has work that waited; and how long a world at rest is looked at.
_TURN_S, _SETTLE_S, _REST_S = 0.3, 1.2, 20.0
_PATH = "/api/products"


@dataclass(frozen=True, slots=True)
class Trial:
    """A window of the load, its round, and who was looking."""

    round: int
    what: str
    window: Window


@dataclass(frozen=True, slots=True)
class Agreement:
    """The rate that ab sent at and the one that the dashboard showed meanwhile (the mean of its
    samples), and what each counted; `probes` of the engine's own may have come between.
    """

    sent_rate: float
    shown_rate: float
    sent: int
    counted: int
    probes: int = 0

    @property
    def off(self) -> float:
        """Give the difference as a part of what was sent."""
        return self.shown_rate / self.sent_rate - 1

    @property
    def agrees(self) -> bool:
        """Tell whether the rate was near, and every request counted once."""
        return abs(self.off) <= NEAR and 0 <= self.counted - self.sent <= self.probes


@dataclass(frozen=True, slots=True)
class AtRest:
    """What it takes while nobody asks anything. Units: microseconds of CPU a second.

    `world` is all replicas, `board` the dashboard's own processes, `screen` the browser's.
    """

    what: str
    world: float
    board: float
    screen: float


@dataclass(frozen=True, slots=True)
class Cost:
    """The comparison: `rates` with nobody over with somebody, `cpu` the world's the other way."""

    rest: tuple[AtRest, ...]
    trials: tuple[Trial, ...]
    load: WrkReport
    rates: dict[str, Ratio]
    cpu: dict[str, Ratio]
    agreements: tuple[Agreement, ...]
    seed: int

    def holds(self, what: str) -> Holds:
        """Tell whether it costs less than what is wanted: only the whole interval decides."""
        return below(self.rates[what], 1 / (1 - WANTED))

    @property
    def agrees(self) -> bool:
        """Tell whether every rate was near, and every request counted once."""
        return all(one.agrees for one in self.agreements)


def ask_dashboard(
    stack: Stack, *, world: str, rounds: int, shape: str | None, progress: Progress
) -> Answer:
    """Measure. Raises: Missing without chromium; StepFailed; TwinstackError for odd options."""
    require_rounds(rounds)
    name = worlds.named(world)
    chosen = worlds.ready(stack, name, shape, progress)
    with worlds.lifted([chosen]):
        found = measure(chosen, rounds=rounds, progress=progress)
    return Answer(f"dashboard-{name}", chosen.plan, found, table(found))


def measure(world: LocalWorld, *, rounds: int, progress: Progress) -> Cost:
    """Measure on a world that is up. Raises: as `ask_dashboard`; CannotTell."""
    seed = random.SystemRandom().getrandbits(32)
    endpoint = world.endpoint(worlds.EDGE)
    size = len(probe.get_ok(endpoint, _PATH).body)

    def load(requests: int) -> ab.AbReport:
        return ab.run(
            endpoint,
            _PATH,
            requests=requests,
            concurrency=CONCURRENCY,
            keepalive=True,
            answer_bytes=size,
        )

    rate = max(load(1_000).rate, load(2_000).rate)
    with ExitStack() as stack:
        board, url, reader = stack.enter_context(onlookers.served(world.name))
        screen = stack.enter_context(onlookers.browser(url))
        looking = {NOBODY: set[onlookers.Group](), WATCHED: {board}, SHOWN: {board, screen}}

        def let(what: str, settle_s: float = _SETTLE_S) -> None:
            for group in (board, screen):
                (group.resume if group in looking[what] else group.pause)()
            time.sleep(settle_s)

        def at_rest(what: str) -> AtRest:
            let(what)
            began_s = time.monotonic()
            before = world.cpu_us(), board.cpu_us(), screen.cpu_us()
            time.sleep(_REST_S)
            elapsed_s = time.monotonic() - began_s
            return AtRest(
                what,
                spent_us(before[0], world.cpu_us()) / elapsed_s,
                (board.cpu_us() - before[1]) / elapsed_s,
                (screen.cpu_us() - before[2]) / elapsed_s,
            )

        rest = [at_rest(what) for what in looking]
        trials: list[Trial] = []
        order = schedule(tuple(looking), (), rounds=rounds, others_every=1, seed=seed)
        turns = 3 * rounds * (_WINDOW_S + _TURN_S)
        count = stack.enter_context(windows.counting(world))
        with windows.loaded(
            endpoint.url(_PATH), connections=CONCURRENCY, most_s=round(2 * turns) + 60
        ) as asking:
            time.sleep(_SETTLE_S)
            for number, names in enumerate(order, start=1):
                found = []
                for what in names:
                    let(what, _TURN_S)
                    found.append(Trial(number, what, windows.window(world, count, _WINDOW_S)))
                trials += found
                progress(
                    f"round {number}/{rounds}: "
                    + "  ".join(f"{one.what} {one.window.rate:,.0f}/s" for one in found)
                )
            sent = asking.ended()
        board.resume()
        screen.pause()
        time.sleep(_SETTLE_S)
        every_s = (
            world.plan.replica(worlds.EDGE).health.interval_s if world.name == "docker" else None
        )
        agreements = [
            _agreement(reader, load, round(rate * _LONG_S), every_s) for _ in range(_LONG_TRIALS)
        ]
        screen.resume()
    return summarise(rest, trials, sent, agreements, seed=seed)


def _agreement(
    reader: onlookers.Reader,
    load: Callable[[int], ab.AbReport],
    requests: int,
    every_s: float | None,
) -> Agreement:
    """Hold one run of ab against what was shown; Docker's engine asks the edge `every_s`."""
    before = reader.newest(after=time.time())
    began = time.time()
    said = load(requests)
    ended = time.time()
    after = reader.newest(after=ended + 0.5)
    inside = [
        one["rate"]
        for one in reader.samples
        if one["rate"] is not None and began + 1.3 < one["at"] < ended
    ]
    probes = 0 if every_s is None else math.ceil((after["at"] - before["at"]) / every_s)
    return Agreement(
        said.rate, statistics.fmean(inside), said.complete, after["total"] - before["total"], probes
    )


def code(answer: Answer) -> int:
    """Give the exit code: 0 all holds, 1 something fails, 2 the samples leave it open."""
    found = answer.found
    assert isinstance(found, Cost)
    whole = found.agrees and not found.load.non_2xx + found.load.lost
    return exit_code(found.holds(WATCHED), "holds" if whole else "fails")


def summarise(
    rest: Sequence[AtRest],
    trials: Sequence[Trial],
    load: WrkReport,
    agreements: Sequence[Agreement],
    *,
    seed: int,
) -> Cost:
    """Turn windows into ratios; pure."""

    def of(what: str) -> list[Window]:
        mine = sorted((one for one in trials if one.what == what), key=lambda one: one.round)
        return [one.window for one in mine]

    def work(what: str) -> list[float]:
        return [one.cpu_us / one.answered for one in of(what)]

    rates, cpu = {}, {}
    for what in (WATCHED, SHOWN):
        rates[what] = ratio(
            [one.rate for one in of(NOBODY)], [one.rate for one in of(what)], seed=seed
        )
        cpu[what] = ratio(work(what), work(NOBODY), seed=seed)
    return Cost(tuple(rest), tuple(trials), load, rates, cpu, tuple(agreements), seed)


def table(found: Cost) -> str:
    """Draw the result, at most 80 columns wide."""
    lines = [f"{'':<14}{'req/s':>8}{'(min–max)':>16}{'CPU µs':>8}{'host µs':>9}"]
    for what in (NOBODY, WATCHED, SHOWN):
        own = [one.window for one in found.trials if one.what == what]
        rates = spread([one.rate for one in own])
        span = f"({rates.minimum:.0f}–{rates.maximum:.0f})"
        cpu = spread([one.cpu_us / one.answered for one in own]).median
        work = spread([one.host_us / one.answered for one in own]).median
        lines.append(f"{what:<14}{rates.median:>8.0f}{span:>16}{cpu:>8.0f}{work:>9.0f}")
    sent = found.load
    failed = sent.non_2xx + sent.lost
    lines.append(
        f"wrk, {CONCURRENCY} connections: {sent.success:,} answers in"
        f" {sent.seconds:.0f} s, {failed} failed; p99 {sent.p99_ms:.1f} ms."
    )
    for what in (WATCHED, SHOWN):
        lines.append(textwrap.fill(_sentence(found, what), 80))
    for still in found.rest:
        ms = (f"{part / 1e3:.1f}" for part in (still.world, still.board, still.screen))
        lines.append(f"At rest, {still.what}: CPU ms/s: world, dashboard, browser {', '.join(ms)}")
    for one in found.agreements:
        among = f", with at most {one.probes} probes of the engine's" if one.probes else ""
        told = (
            f"ab sent {one.sent_rate:,.1f} req/s, the dashboard showed {one.shown_rate:,.1f} "
            f"({one.off:+.1%}); it counted {one.counted:,} of {one.sent:,}{among}."
        )
        lines.append(textwrap.fill(told, 80))
    lines.append(
        f"Within {NEAR:.0%}, and each request counted once: {'holds' if found.agrees else 'fails'}."
    )
    return "\n".join(lines)


def _sentence(found: Cost, what: str) -> str:
    rates, cpu = found.rates[what], found.cpu[what]
    with_it = "With the dashboard" if what == WATCHED else "With Chromium showing it as well"

    def part(value: float) -> str:
        return f"{1 - 1 / value:+.1%}"

    return (
        f"{with_it} the edge carries {part(rates.estimate)} fewer requests (95 % interval "
        f"{part(rates.low)} to {part(rates.high)}); below {WANTED:.0%}: {found.holds(what)}. CPU "
        f"per request {cpu.estimate - 1:+.1%} ({cpu.low - 1:+.1%} to {cpu.high - 1:+.1%})."
    )

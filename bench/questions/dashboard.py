"""What does an open dashboard cost what it watches, and does it show the rate that is sent?

wrk loads the edge over kept connections while no dashboard is open, while a dashboard and a reader
of its samples are, and while a real Chromium shows the page as well. The Chromium draws on this
machine's own cores, so what it costs includes the browser's work.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from bench.engine import worlds
from bench.engine.arm import CPU, PROGRAMS, RATE, Arm, Bound, Contrast
from bench.engine.loads import Load, by_ab, by_wrk
from bench.engine.question import Design, Experiment, Outcome, outcome_of, run
from bench.load import onlookers
from bench.load.ab import AbLoad
from bench.load.onlookers import Reader
from twinstack.linux.session import Session
from twinstack.reconcile import Progress
from twinstack.stack import Stack
from twinstack.world import LocalWorld

NOBODY, WATCHED, SHOWN = "nobody looks", "dashboard", "and Chromium"
#: The most that a dashboard may cost, as a part of the requests; and how near its rate must be.
MOST, NEAR = 0.03, 0.05
CONCURRENCY = 20
#: How long, roughly, a run of ab is that rates are compared in, and how many there are.
_LONG_S, _LONG_RUNS = 30.0, 5
#: A resumed program has work that waited.
_TURN_S, _SETTLE_S = 0.3, 1.2
_PATH = "/api/products"


def ask(
    stack: Stack, *, world: str, how: Design, shape: str | None = None, progress: Progress
) -> Outcome:
    """Measure. Raises: Missing without chromium; StepFailed; TwinstackError for odd options."""
    name = worlds.named(world)
    chosen = worlds.ready(stack, name, shape, progress)

    @contextmanager
    def stage() -> Iterator[Sequence[Arm]]:
        worlds.restart([chosen], progress)
        with ExitStack() as open_:
            board, url, _ = open_.enter_context(onlookers.served(name))
            screen = open_.enter_context(onlookers.browser(url))
            load = by_wrk(chosen.endpoint(worlds.EDGE).url(_PATH), CONCURRENCY, how.run_s)
            looking = {NOBODY: (), WATCHED: (board,), SHOWN: (board, screen)}
            yield [
                Arm(what, load, name, partial(_looking, (board, screen), groups))
                for what, groups in looking.items()
            ]
            for group in (board, screen):
                group.resume()

    watched, shown = Contrast(WATCHED, NOBODY), Contrast(SHOWN, NOBODY)
    experiment = Experiment(
        stage=stage,
        contrasts=(watched, shown),
        load=f"{CONCURRENCY} kept connections (wrk), {_PATH}",
        worlds=[chosen],
        quantities=(RATE, CPU),
        bounds=(Bound(watched, RATE, 1 - MOST, least=True),),
    )
    with worlds.lifted([chosen]):
        measured = run(experiment, how, progress)
        progress("comparing the rates that are shown with those that ab sends")
        runs = [] if measured.broken else list(_agreements(chosen))
    agreed = all(near for _, near in runs)
    holds = f"Within {NEAR:.0%}, and each request counted once: {'holds' if agreed else 'fails'}."
    notes = [*(said for said, _ in runs), holds]
    outcome = outcome_of(measured, f"dashboard-{name}", chosen.plan, notes)
    return outcome if agreed else replace(outcome, code=1)


@contextmanager
def _looking(groups: Sequence[Session], looking: Sequence[Session]) -> Iterator[Mapping[int, str]]:
    """Let some viewers run around a window, and pause the others."""
    for group in groups:
        (group.resume if group in looking else group.pause)()
    time.sleep(_TURN_S)
    yield {pid: PROGRAMS for group in groups for pid in group.pids()}


def _agreements(world: LocalWorld) -> Iterator[tuple[str, bool]]:
    """Compare runs of ab with what a dashboard shows meanwhile."""
    endpoint = world.endpoint(worlds.EDGE)
    short = by_ab(endpoint, AbLoad(_PATH, 2_000, CONCURRENCY, keepalive=True))().figures
    requests = round(2_000 / short["seconds"] * _LONG_S)
    load = by_ab(endpoint, AbLoad(_PATH, requests, CONCURRENCY, keepalive=True))
    health = world.plan.replica(worlds.EDGE).health
    probe_s = health.interval_s if world.name == "docker" else None
    with onlookers.served(world.name) as (_, _, reader):
        time.sleep(_SETTLE_S)
        for _ in range(_LONG_RUNS):
            yield _agreement(reader, load, probe_s)


def _agreement(reader: Reader, load: Load, probe_s: float | None) -> tuple[str, bool]:
    """Compare one run of ab with what was shown; Docker's engine probes the edge too."""
    before = reader.newest(after=time.time())
    start = time.time()
    tally = load()
    end = time.time()
    after = reader.newest(after=end + 0.5)
    rates = [
        sample["rate"]
        for sample in reader.samples
        if sample["rate"] is not None and start + 1.3 < sample["at"] < end
    ]
    probes = 0 if probe_s is None else math.ceil((after["at"] - before["at"]) / probe_s)
    counted = after["total"] - before["total"]
    rate = tally.done / tally.figures["seconds"]
    return agreement(rate, statistics.fmean(rates), tally.done, counted, probes)


def agreement(
    sent_rate: float, shown_rate: float, sent: int, counted: int, probes: int = 0
) -> tuple[str, bool]:
    """Say how near what was shown came to a run of ab, and whether near enough; pure.

    As many `probes` of the engine's may have been counted with it.
    """
    off = shown_rate / sent_rate - 1
    beside = f", with at most {probes} probes of the engine's" if probes else ""
    said = (
        f"ab sent {sent_rate:,.1f} req/s, the dashboard showed {shown_rate:,.1f} ({off:+.1%}); "
        f"it counted {counted:,} of {sent:,}{beside}."
    )
    return said, abs(off) <= NEAR and 0 <= counted - sent <= probes

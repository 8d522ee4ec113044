"""What does capturing cost the world that is captured? Uncaptured and captured, in turn.

In each round, in random order, `ab` without keep-alive loads the edge while nothing captures,
while `traffic.capture` keeps 128 bytes of each packet on every bridge, while dumpcap does the same,
and while every link is captured whole. Each capture is a process of its own, as its user starts it;
it runs before the load begins and until after it ends. The edge's rate limit is off throughout.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.engine import worlds
from bench.engine.design import interleave, require_load, require_rounds
from bench.engine.estimate import Holds, Ratio, below, exit_code, grouped, paired
from bench.engine.show import columns, wrap
from bench.engine.store import Outcome
from bench.engine.trials import Trial, cells, edge_trial
from bench.load.ab import AbLoad
from bench.load.programs import cpu_us
from twinstack.errors import Missing, StepFailed
from twinstack.model.topology import WorldName
from twinstack.observe.capture import targets
from twinstack.reconcile import Progress
from twinstack.stack import REPOSITORY, Stack
from twinstack.world import Link, LocalWorld

OFF, BRIDGES, DUMPCAP, WHOLE = "nobody", "bridges, 128", "dumpcap, 128", "links, whole"
ARMS = (OFF, BRIDGES, DUMPCAP, WHOLE)
#: The most that capturing every bridge may cost, as a part of the requests.
MOST = 0.10
CONCURRENCY = 50
_SNAP = 128
_SEED = 1
_START_S, _SETTLE_S, _STOP_S = 20.0, 0.3, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureTrial(Trial):
    """One trial."""

    capture_us: int  # CPU time of the capture's own processes
    packets: int  # captured, by the report of traffic.capture; 0 with dumpcap
    dropped: int

    @property
    def cpu_us_per_request(self) -> float:
        return (self.cpu_us + self.capture_us) / self.complete


@dataclass(frozen=True, slots=True)
class CaptureCost:
    """The comparison, by what captured."""

    samples: tuple[CaptureTrial, ...]
    rates: dict[str, Ratio]  # without a capture over with it
    cpu: dict[str, Ratio]  # of services and capture, with over without, as is `work`: the host's
    work: dict[str, Ratio]
    links: int
    seed: int

    @property
    def holds(self) -> Holds:
        """Tell whether capturing the bridges costs little enough: the worse end decides."""
        return below(self.rates[BRIDGES], 1 / (1 - MOST))

    @property
    def sentences(self) -> tuple[str, ...]:
        """Say what each costs, and whether the bridges cost too much."""
        return tuple(
            f"{what}: costs {rate.saved} of req/s"
            f"{f'; less than {MOST:.0%}: {self.holds}' if what == BRIDGES else ''}; CPU time a "
            f"request {self.cpu[what].percent} in the services and the capture, "
            f"{self.work[what].percent} on the whole host."
            for what, rate in self.rates.items()
        )


def ask(
    stack: Stack,
    *,
    world: str,
    rounds: int,
    requests: int,
    shape: str | None = None,
    bridges: bool = False,
    progress: Progress,
) -> Outcome:
    """Measure a world with and without captures; `bridges` leaves dumpcap and whole links out.

    Raises: CannotTell when the samples do not decide; Missing; StepFailed when a capture fails.
    """
    require_rounds(rounds)
    load = AbLoad(requests=requests, concurrency=CONCURRENCY)
    require_load(load)
    name = worlds.named(world)
    chosen = worlds.ready(stack, name, shape, progress)
    links = chosen.links()
    if not any(link.kind == "bridge" for link in links):
        raise Missing(
            f"the {name} world", "cannot be captured", "it has no bridge", f'run "invoke {name}.up"'
        )
    arms = [what for what in ARMS if what != DUMPCAP or shutil.which("dumpcap")]
    if bridges:
        arms = [OFF, BRIDGES]
    with worlds.lifted([chosen]):
        trial = partial(_trial, chosen, links, load)
        samples = interleave(arms, trial, rounds, _SEED, progress)
    cost = summarise(samples, links=len(links), seed=_SEED)
    return Outcome(f"capture-{name}", chosen.plan, cost, table(cost), exit_code(cost.holds))


def _trial(
    world: LocalWorld, links: Sequence[Link], load: AbLoad, what: str, number: int
) -> CaptureTrial:
    with (
        tempfile.TemporaryDirectory(prefix="twinstack-bench-capture-") as folder,
        _capturing(world.name, links, what, Path(folder) / "files") as running,
    ):
        before_us = sum(cpu_us(process.pid) for process in running)
        trial = edge_trial(world, number, load)
        capture_us = sum(cpu_us(process.pid) for process in running) - before_us
        captured = _stop(running).get("links", ())
    return CaptureTrial(
        **trial,
        what=what,
        capture_us=round(capture_us),
        packets=sum(link["packets"] for link in captured),
        dropped=sum(link["dropped"] for link in captured),
    )


@contextlib.contextmanager
def _capturing(
    world: WorldName, links: Sequence[Link], what: str, folder: Path
) -> Iterator[list[subprocess.Popen[str]]]:
    """Capture while the block lasts. Raises: StepFailed."""
    running: list[subprocess.Popen[str]] = []

    def start(words: list[str], word: str) -> None:
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        running.append(
            subprocess.Popen(words, cwd=REPOSITORY, text=True, stdin=null, stdout=pipe, stderr=pipe)
        )
        _await(running[-1], word)

    try:
        if what in {BRIDGES, WHOLE}:
            options = "--everything --snap 0" if what == WHOLE else f"--snap {_SNAP}"
            words = (
                f"{Path(sys.executable).with_name('invoke')} traffic.capture --json --world {world}"
                f" --seconds 0 --out {folder} --size 1000 --rotate 1 {options}"
            )
            start(words.split(), "capturing")
        elif what == DUMPCAP:
            folder.mkdir()
            request = targets.CaptureOptions(seconds=0, snap=_SNAP, size=1_000_000_000, files=1)
            for link in targets.select_links(links):
                start(shlex.split(targets.dumpcap_command(link, folder, request)), "File: ")
        time.sleep(_SETTLE_S)
        yield running
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()


def _await(running: subprocess.Popen[str], word: str) -> None:
    """Wait until it prints a line that starts with `word`. Raises: StepFailed."""
    assert running.stderr is not None
    timer = threading.Timer(_START_S, running.kill)
    timer.start()
    text = ""
    for line in running.stderr:
        text += line
        if line.startswith(word):
            timer.cancel()
            return
    timer.cancel()
    cause = text.strip()[-300:] or "it prints nothing"
    raise StepFailed("the capture", "does not start", cause, "start it by hand")


def _stop(running: Sequence[subprocess.Popen[str]]) -> dict[str, Any]:
    """Stop as Ctrl-C does, and give the report of traffic.capture. Raises: StepFailed."""
    report: dict[str, Any] = {}
    for process in running:
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=_STOP_S)
        if process.returncode:
            raise StepFailed("the capture", "failed", stderr[-300:], "start it by hand")
        report |= json.loads(stdout) if stdout.startswith("{") else {}
    return report


def summarise(samples: Sequence[CaptureTrial], *, links: int, seed: int) -> CaptureCost:
    """Turn samples into ratios; pure."""
    arms = grouped(samples, lambda trial: trial.what)
    off = arms.pop(OFF)

    def more(quantity: str) -> dict[str, Ratio]:
        return {what: paired(arms[what], off, quantity, seed=seed) for what in ARMS if what in arms}

    return CaptureCost(
        tuple(samples),
        {what: paired(off, arms[what], "rate", seed=seed) for what in ARMS if what in arms},
        cpu=more("cpu_us_per_request"),
        work=more("host_us_per_request"),
        links=links,
        seed=seed,
    )


def table(cost: CaptureCost) -> str:
    """Draw the result."""
    rows = []
    arms = grouped(cost.samples, lambda trial: trial.what)
    for what in (OFF, *cost.rates):
        trials = arms[what]
        own_us = sum(trial.capture_us for trial in trials) / sum(trial.complete for trial in trials)
        counts = (
            f"{sum(trial.packets for trial in trials):,}",
            f"{sum(trial.dropped for trial in trials):,}",
        )
        known = counts if what in {BRIDGES, WHOLE} else ("–", "–")
        rows.append([what, *cells(trials), f"{own_us:.0f}", *known])
    head = ["captured", "req/s", "(min–max)", "p99 ms", "ok", "CPU µs", "own µs", "packets", "lost"]
    legend = (
        "CPU µs: CPU time of a request, the services' and the capture's; own: the capture's; "
        f"{cost.links} links."
    )
    return f"{columns(head, rows)}\n{wrap(legend, *cost.sentences, indent='  ')}"

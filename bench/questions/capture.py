"""What does capturing cost who is captured? The same world uncaptured and captured, in turn.

In each round, in random order, `ab` without keep-alive asks the edge while nobody listens, while
`traffic.capture` keeps 128 bytes of each packet on every bridge, while dumpcap does the same, and
while every link is captured whole. Each capture is a process of its own, as its user starts it; it
is there before the load begins and ends after it. The limit of new connections is off throughout.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.engine import meter, probe, worlds
from bench.engine.design import require_load, require_rounds, schedule
from bench.engine.estimate import Holds, Ratio, below, exit_code, ratio, spread
from bench.engine.trials import spent_us
from bench.load import ab
from bench.questions.catalogue import Answer
from twinstack.errors import Missing, StepFailed
from twinstack.model.topology import WorldName
from twinstack.observe.capture import targets
from twinstack.reconcile import Progress
from twinstack.stack import REPOSITORY, Stack
from twinstack.world import Link, LocalWorld

OFF, BRIDGES, DUMPCAP, WHOLE = "nobody", "bridges, 128", "dumpcap, 128", "links, whole"
WHATS = (OFF, BRIDGES, DUMPCAP, WHOLE)
#: What issue 5 asks for: a part of the requests, with every bridge at snap length 128.
WANTED = 0.10
CONCURRENCY = 50
_PATH = "/api/products"
_SNAP = 128
_BEGINS_S = 20.0
_SETTLES_S = 0.3
_ENDS_S = 30


@dataclass(frozen=True, slots=True)
class CostSample:
    """One trial. Units: CPU time in microseconds: the services', the host's, the capture's own.

    `packets` and `dropped` are what the capture told; 0 of dumpcap, which tells nothing here.
    """

    round: int
    what: str
    complete: int
    success: int
    rate: float
    p99_ms: float
    cpu_us: int
    host_us: int
    capture_us: int
    packets: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Cost:
    """The comparison: `rates` nobody over captured; `cpu` (the services' and the capture's) and
    `work` (the whole host's) the other way.
    """

    samples: tuple[CostSample, ...]
    rates: dict[str, Ratio]
    cpu: dict[str, Ratio]
    work: dict[str, Ratio]
    links: int
    seed: int

    @property
    def holds(self) -> Holds:
        """Tell whether the bridges cost less than is wanted: the worse end decides."""
        return below(self.rates[BRIDGES], 1 / (1 - WANTED))

    @property
    def sentences(self) -> tuple[str, ...]:
        """Say what each costs, and whether the bridges cost too much: the worst end decides."""
        said = []
        for what, found in self.rates.items():
            ends = f"{1 - 1 / found.low:.1%} to {1 - 1 / found.high:.1%}"
            line = f"{what}: costs {1 - 1 / found.estimate:.1%} of req/s (95 % interval {ends})"
            if what == BRIDGES:
                line += f"; less than {WANTED:.0%}: {self.holds}"
            for whose, more in (
                ("the services' and the capture's", self.cpu[what]),
                ("the whole host's", self.work[what]),
            ):
                line += (
                    f"; {more.estimate - 1:+.1%} of {whose} CPU time a request "
                    f"({more.low - 1:+.1%} to {more.high - 1:+.1%})"
                )
            said.append(f"{line}.")
        return tuple(said)


def measure(
    world: LocalWorld,
    *,
    rounds: int = 20,
    requests: int = 500,
    seed: int = 1,
    whats: Sequence[str] = WHATS,
    progress: Progress,
) -> Cost:
    """Measure on a world that is up and whose edge is lifted; `whats` are captured in turn.

    Raises: CannotTell when the samples do not decide; StepFailed when a capture does not begin.
    """
    links = world.links()
    whats = [what for what in whats if what != DUMPCAP or shutil.which("dumpcap")]
    samples: list[CostSample] = []
    for what in whats:
        _trial(world, links, what, -1, requests)
    order = schedule(whats, (), rounds=rounds, others_every=1, seed=seed)
    for number, names in enumerate(order, start=1):
        found = [_trial(world, links, what, number, requests) for what in names]
        samples += found
        progress(
            f"round {number}/{rounds}: "
            + "  ".join(f"{one.what} {one.rate:,.0f}/s" for one in found)
        )
    return summarise(samples, links=len(links), seed=seed)


def _trial(
    world: LocalWorld, links: Sequence[Link], what: str, number: int, requests: int
) -> CostSample:
    endpoint = world.endpoint(worlds.EDGE)
    size = len(probe.get_ok(endpoint, _PATH).body)
    with (
        tempfile.TemporaryDirectory(prefix="twinstack-bench-capture-") as folder,
        _capturing(world.name, links, what, Path(folder) / "files") as running,
    ):
        cpu, before = world.cpu_us(), meter.snapshot()
        own = sum(_spent_us(one.pid) for one in running)
        said = ab.run(
            endpoint,
            _PATH,
            requests=requests,
            concurrency=CONCURRENCY,
            keepalive=False,
            answer_bytes=size,
        )
        after, own = meter.snapshot(), sum(_spent_us(one.pid) for one in running) - own
        spent = spent_us(cpu, world.cpu_us())
        told = _end(running)
    kept = told.get("links", ())
    return CostSample(
        number,
        what,
        said.complete,
        said.success,
        said.rate,
        said.p99_ms,
        spent,
        after.busy_us - before.busy_us,
        own,
        sum(one["packets"] for one in kept),
        sum(one["dropped"] for one in kept),
    )


@contextlib.contextmanager
def _capturing(
    world: WorldName, links: Sequence[Link], what: str, folder: Path
) -> Iterator[list[subprocess.Popen[str]]]:
    """Have a capture at work while the block lasts. Raises: StepFailed."""
    running: list[subprocess.Popen[str]] = []
    try:
        if what in {BRIDGES, WHOLE}:
            words = [
                str(Path(sys.executable).with_name("invoke")),
                "traffic.capture",
                "--json",
                "--world",
                world,
                "--seconds",
                "0",
                "--out",
                str(folder),
                "--size",
                "1000",
                "--rotate",
                "1",
            ]
            words += ["--everything", "--snap", "0"] if what == WHOLE else ["--snap", str(_SNAP)]
            running.append(_started(words))
            _await(running[0], "capturing")
        elif what == DUMPCAP:
            folder.mkdir()
            wanted = targets.CaptureOptions(seconds=0, snap=_SNAP, size=1_000_000_000, files=1)
            for link in targets.select_links(links):
                running.append(_started(shlex.split(targets.dumpcap_command(link, folder, wanted))))
                _await(running[-1], "File: ")
        time.sleep(_SETTLES_S)
        yield running
    finally:
        for one in running:
            if one.poll() is None:
                one.kill()
            one.wait()


def _started(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words,
        cwd=REPOSITORY,
        text=True,
        bufsize=1,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _await(running: subprocess.Popen[str], word: str) -> None:
    """Wait until it says that it listens, on a line of its own. Raises: StepFailed."""
    assert running.stderr is not None
    handle = running.stderr.fileno()  # past its buffer, of which select knows nothing
    deadline = time.monotonic() + _BEGINS_S
    said = ""
    while not any(line.startswith(word) for line in said.splitlines()):
        left = deadline - time.monotonic()
        ready = left > 0 and select.select([handle], [], [], left)[0]
        piece = os.read(handle, 1 << 16) if ready else b""
        if not piece:
            cause = said.strip()[-300:] or "it says nothing"
            raise StepFailed("the capture", "does not begin", cause, "start it by hand")
        said += piece.decode(errors="replace")


def _end(running: Sequence[subprocess.Popen[str]]) -> dict[str, Any]:
    """Stop as Ctrl-C does, and give what a capture of ours told. Raises: StepFailed."""
    told: dict[str, Any] = {}
    for one in running:
        one.send_signal(signal.SIGINT)
        said, errors = one.communicate(timeout=_ENDS_S)
        if one.returncode:
            raise StepFailed("the capture", "ended badly", errors[-300:], "start it by hand")
        told |= json.loads(said) if said.startswith("{") else {}
    return told


def _spent_us(pid: int) -> int:
    """Give a process's CPU time so far, all its threads'. Source: sched-stats in the kernel's docs.

    /proc/PID/stat counts in steps of 10 ms, which is more than a trial takes.
    """
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text(encoding="ascii").split()[0]) for one in threads) // 1000


def summarise(samples: Sequence[CostSample], *, links: int, seed: int) -> Cost:
    """Turn samples into ratios; pure."""
    own = {
        what: sorted((one for one in samples if one.what == what), key=lambda one: one.round)
        for what in WHATS
        if any(one.what == what for one in samples)
    }
    rates = {what: [one.rate for one in found] for what, found in own.items()}
    work = {what: [one.host_us / one.complete for one in found] for what, found in own.items()}
    cpu = {
        what: [(one.cpu_us + one.capture_us) / one.complete for one in found]
        for what, found in own.items()
    }
    others = [what for what in own if what != OFF]
    return Cost(
        tuple(samples),
        {what: ratio(rates[OFF], rates[what], seed=seed) for what in others},
        {what: ratio(cpu[what], cpu[OFF], seed=seed) for what in others},
        {what: ratio(work[what], work[OFF], seed=seed) for what in others},
        links,
        seed,
    )


def code(answer: Answer) -> int:
    """Give the exit code: 0 it holds, 1 it fails, 2 the samples leave it open."""
    assert isinstance(answer.found, Cost)
    return exit_code(answer.found.holds)


def table(found: Cost) -> str:
    """Draw the result, at most 80 columns wide."""
    head = f"{'captured':<13}{'req/s':>7}{'(min–max)':>13}{'p99 ms':>7}{'ok':>7}{'CPU µs':>7}"
    lines = [f"{head}{'own µs':>7}{'packets':>10}{'lost':>5}"]
    for what in (OFF, *found.rates):
        own = [one for one in found.samples if one.what == what]
        rates = spread([one.rate for one in own])
        complete = sum(one.complete for one in own)
        span = f"({rates.minimum:.0f}–{rates.maximum:.0f})"
        services = spread([one.cpu_us / one.complete for one in own]).median
        mine = sum(one.capture_us for one in own) / complete
        ours = what in {BRIDGES, WHOLE}
        told = f"{sum(one.packets for one in own):,}" if ours else "–"
        lost = f"{sum(one.dropped for one in own):,}" if ours else "–"
        p99 = spread([one.p99_ms for one in own]).median
        lines.append(
            f"{what:<13}{rates.median:>7.0f}{span:>13}{p99:>7.1f}"
            f"{sum(one.success for one in own) / complete:>7.1%}{services:>7.0f}{mine:>7.0f}"
            f"{told:>10}{lost:>5}"
        )
    lines.append(
        f"µs: CPU time of a request, the services' and the capture's; {found.links} links."
    )
    said = [textwrap.fill(one, 80, subsequent_indent="  ") for one in found.sentences]
    return "\n".join([*lines, *said])


def ask_capture(
    stack: Stack,
    *,
    world: str,
    rounds: int,
    requests: int,
    shape: str | None = None,
    bridges: bool = False,
    progress: Progress,
) -> Answer:
    """Measure a world with and without captures; it is left as it was. Raises: as `measure`."""
    require_rounds(rounds)
    require_load(requests, CONCURRENCY)
    name = worlds.named(world)
    chosen = worlds.ready(stack, name, shape, progress)
    if not any(one.kind == "bridge" for one in chosen.links()):
        raise Missing(
            f"the {name} world", "cannot be captured", "it has no bridge", f'run "invoke {name}.up"'
        )
    with worlds.lifted([chosen]):
        found = measure(
            chosen,
            rounds=rounds,
            requests=requests,
            progress=progress,
            whats=(OFF, BRIDGES) if bridges else WHATS,
        )
    return Answer(f"capture-{name}", chosen.plan, found, table(found))
